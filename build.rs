//! Tells the program where it was built: run paths for its libraries, and the versions that a report names.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rerun-if-changed=target/libtorch/build-version");
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let ask = |arguments: &[&str]| {
        let output = Command::new(&rustc).args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    println!("cargo::rustc-env=REPORT_RUSTC={}", ask(&["--version"]));
    println!("cargo::rustc-env=REPORT_SYSROOT={}", ask(&["--print", "sysroot"]));
    println!("cargo::rustc-env=REPORT_TARGET={}", env::var("TARGET").unwrap_or_default());
    // Programs lie in target/release, tests in target/release/deps, libtorch behind target/libtorch; std's library is in
    // the toolchain. So nothing needs an environment variable.
    let std = Path::new(&ask(&["--print", "target-libdir"])).display().to_string();
    for path in ["$ORIGIN", "$ORIGIN/..", "$ORIGIN/../libtorch/lib", "$ORIGIN/../../libtorch/lib", &std] {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{path}");
    }
    println!("cargo::rustc-env=REPORT_LOCK={}", versions());
}

/// `name version` of the crates that matter to a reader of a report, separated by `;`.
fn versions() -> String {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let wanted = ["evcxr", "plotters", "polars", "tch"];
    let mut found = Vec::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let (Some(name), Some(version)) = (field("name"), field("version"))
            && wanted.contains(&name)
        {
            found.push(format!("{name} {version}"));
        }
    }
    found.join(";")
}
