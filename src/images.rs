//! Reads the pictures of the prose, which must lie below the notebook's folder, as data URIs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::diagnostic::Diagnostic;
use crate::notebook::Notebook;

/// A larger picture is refused.
const LIMIT_BYTES: u64 = 20 << 20;

/// Path as written → data URI. What cannot be embedded becomes an error at its line.
pub fn embed(notebook: &Notebook, folder: &Path, diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for image in &notebook.images {
        if found.contains_key(&image.path) {
            continue;
        }
        match read(folder, &image.path, &image.file) {
            Ok(uri) => {
                found.insert(image.path.clone(), uri);
            }
            // The parser has already said what is wrong with a path that cannot be below the folder.
            Err(None) => {}
            Err(Some(message)) => {
                let message = format!("the picture `{}` {message}", image.path);
                diagnostics.push(
                    Diagnostic::error(message)
                        .at(image.span.clone(), "")
                        .help("copy the file beside the notebook and name it by a relative path"),
                );
            }
        }
    }
    found
}

/// The picture as a data URI. `path` is as written, `file` with `%20` and the like resolved.
fn read(folder: &Path, path: &str, file: &str) -> Result<String, Option<String>> {
    if !crate::parse::stays_below(path) {
        return Err(None);
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let say = |text: String| Some(text);
    let root = fs::canonicalize(folder).map_err(|error| say(format!("cannot be looked for: {error}")))?;
    let real = fs::canonicalize(folder.join(file)).map_err(|error| say(format!("cannot be read: {error}")))?;
    if !real.starts_with(&root) {
        return Err(say("is a link that leaves the notebook's folder".to_owned()));
    }
    // A device or a pipe must not be opened: it may never end.
    let meta = fs::metadata(&real).map_err(|error| say(format!("cannot be read: {error}")))?;
    if !meta.is_file() {
        return Err(say("is not a file".to_owned()));
    }
    if meta.len() > LIMIT_BYTES {
        return Err(say(format!("is larger than {} MiB", LIMIT_BYTES >> 20)));
    }
    let bytes = fs::read(&real).map_err(|error| say(format!("cannot be read: {error}")))?;
    let kind = kind(&bytes).ok_or_else(|| say("is not a PNG, JPEG, GIF, WebP or SVG file".to_owned()))?;
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(&bytes)))
}

/// The media type by content; the name is not trusted.
fn kind(bytes: &[u8]) -> Option<&'static str> {
    let text = || std::str::from_utf8(bytes).ok().map(|text| text.trim_start_matches('\u{feff}').trim_start());
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => text()
            .filter(|text| text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg")))
            .map(|_| "image/svg+xml"),
    }
}
