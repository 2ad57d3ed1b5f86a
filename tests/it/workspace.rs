//! A folder of its own for a test, and the program run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program under test.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_report"));
    // Caches of the tests are apart from the user's; datasets and weights are the ones that `make test` has fetched.
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    if let Some(home) = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))) {
        for (variable, folder) in [("REPORT_DATA_DIR", "report/datasets"), ("REPORT_ENCODERS", "report/encoders")] {
            if std::env::var_os(variable).is_none() {
                command.env(variable, home.join(folder));
            }
        }
    }
    command.env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    command.env("NO_COLOR", "1");
    command
}

/// A folder with notebooks, and their reports below `output`.
pub struct Workspace {
    pub folder: PathBuf,
}

/// What a run of the program left.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Workspace {
    /// An empty folder for the test of this name.
    pub fn new(name: &str) -> Workspace {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("the old folder can be removed");
        }
        fs::create_dir_all(&folder).expect("the folder can be created");
        Workspace { folder }
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be created");
        fs::write(&path, text).expect("the file can be written");
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }

    pub fn report(&self, arguments: &[&str]) -> Ran {
        let output = program().args(arguments).current_dir(&self.folder).output().expect("the program starts");
        Ran::from(output)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The text of an HTML page as a reader sees it: tags away, entities resolved.
pub fn text_of(html: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    for (entity, c) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&#x2f;", "/"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, c);
    }
    text
}
