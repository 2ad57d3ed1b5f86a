//! Reports as headless Chromium sees them, over the DevTools protocol on a pair of pipes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::workspace::Workspace;

const PAGE: &str = r#"---
title: A page with everything
authors: [A. Author, B. Author]
---

# Results {#sec-results}

See @fig-line, @tbl-long and @sec-results. A footnote.[^1] $x^2$, and an `inline` value `{rust} 6 * 7`.

[^1]: Its text.

> [!NOTE]
> A callout with a very-long-word-that-cannot-be-broken-anywhere-and-goes-on-and-on-beyond-the-width-of-a-phone.

```rust
//| label: fig-line
//| fig-cap: Points
//| fig-alt: Points on a line
let x: Vec<f32> = (0..50).map(|i| i as f32).collect();
plots::scatter(&x, &x).x_title("x (m)").y_title("y (m)").draw()?
```

```rust
//| label: tbl-long
//| tbl-cap: Many rows and columns
//| code-fold: true
let n: Vec<i32> = (0..150).collect();
df!("first column" => &n, "second column" => &n, "third column" => &n, "fourth column" => &n, "fifth column" => &n, "sixth column" => &n, "seventh column" => &n)?
```

```rust
println!("{}", "a long line of output ".repeat(30));
let very_long_name_of_a_variable = "a long line of code that does not fit on a phone, whatever the font, because it goes on";
```
"#;

struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    next: u64,
    session: Option<String>,
    events: Vec<Value>,
}

impl Browser {
    fn start(workspace: &Workspace) -> Browser {
        let name = ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .find(|name| Command::new(name).arg("--version").output().is_ok())
            .expect("Chromium is installed: `make test` does that");
        let pipe = |name: &str| {
            let path = workspace.folder.join(name);
            let made = Command::new("mkfifo").arg(&path).status();
            assert!(made.is_ok_and(|status| status.success()), "mkfifo works");
            path
        };
        let (to, from) = (pipe("to"), pipe("from"));
        let script = r#"to="$1"; from="$2"; shift 2; exec "$@" 3<"$to" 4>"$from""#;
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([&to, &from])
            .arg(name)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", workspace.folder.join("profile").display()))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("Chromium starts");
        let to = OpenOptions::new().write(true).open(to).expect("the pipe opens");
        let from = BufReader::new(File::open(from).expect("the pipe opens"));
        let mut browser = Browser { child, to, from, next: 0, session: None, events: Vec::new() };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Log", "Runtime"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("Chromium reads");
        loop {
            let message = self.read();
            if message["id"] == json!(id) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).expect("Chromium answers");
        assert!(!bytes.is_empty(), "Chromium has ended");
        bytes.pop();
        serde_json::from_slice(&bytes).expect("Chromium answers in JSON")
    }

    fn open(&mut self, page: &Path) {
        self.events.clear();
        self.call("Page.navigate", json!({"url": format!("file://{}", page.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.read();
            self.events.push(event);
        }
    }

    fn evaluate(&mut self, expression: &str) -> Value {
        let result = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    fn width(&mut self, width: u32, mobile: bool) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Requests other than for the page itself and for data URIs, and what was logged as an error.
    fn complaints(&self) -> Vec<String> {
        let of = |event: &Value| match event["method"].as_str()? {
            "Network.requestWillBeSent" => {
                let url = event["params"]["request"]["url"].as_str().unwrap_or_default();
                let own = url.starts_with("data:") || event["params"]["type"] == "Document";
                (!own).then(|| format!("request: {url}"))
            }
            "Log.entryAdded" => Some(format!("log: {}", event["params"]["entry"]["text"])),
            "Runtime.exceptionThrown" => Some(format!("exception: {}", event["params"])),
            "Runtime.consoleAPICalled" => Some(format!("console: {}", event["params"])),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_report_reads_well_and_asks_for_nothing() {
    let workspace = Workspace::new("browser");
    workspace.write("page.md", PAGE);
    let ran = workspace.report(&["build", "page.md"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let page = workspace.folder.join("output/page.html");
    let mut browser = Browser::start(&workspace);
    for theme in ["light", "dark"] {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        browser.call("Emulation.setEmulatedMedia", features);
        for (width, mobile) in [(1280, false), (390, true)] {
            for scripts in [true, false] {
                let place = format!("{theme}, {width} px, scripts {scripts}");
                browser.width(width, mobile);
                browser.call("Emulation.setScriptExecutionDisabled", json!({"value": !scripts}));
                browser.open(&page);
                assert_eq!(browser.complaints(), Vec::<String>::new(), "{place}");
                let text = browser.evaluate("document.body.innerText");
                let text = text.as_str().unwrap_or_default();
                for part in ["Figure 1", "Table 1", "Many rows and columns", "42", "A callout", "a long line of output"]
                {
                    assert!(text.contains(part), "{place}: `{part}` cannot be read in: {text}");
                }
                let wide = browser.evaluate("document.documentElement.scrollWidth - window.innerWidth");
                assert!(wide.as_i64().is_some_and(|wide| wide <= 0), "{place}: {wide} px too wide");
                let hidden =
                    browser.evaluate("document.querySelector('figure svg').getBoundingClientRect().width < 200");
                assert_eq!(hidden, json!(false), "{place}: the figure is too small");
            }
        }
    }
    let colors = |browser: &mut Browser, theme: &str| {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        browser.call("Emulation.setEmulatedMedia", features);
        browser.evaluate("getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color")
    };
    assert_ne!(colors(&mut browser, "light"), colors(&mut browser, "dark"));
    let landmarks = browser.evaluate("[!!document.querySelector('main'), document.documentElement.lang, document.querySelectorAll('h1').length > 0, [...document.images].every(i => i.alt !== ''), document.querySelectorAll('table th[scope=col]').length >= 7]");
    assert_eq!(landmarks, json!([true, "en", true, true, true]));
}
