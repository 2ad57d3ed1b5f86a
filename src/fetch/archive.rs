//! Takes one file out of a tar stream, with a limit on its size; nothing else of the archive reaches the disk.

use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use flate2::read::GzDecoder;

use crate::signals;

const BLOCK: usize = 512;
/// The most that is read of one archive, unpacked: far more than any dataset here, far less than a disk.
const ARCHIVE_LIMIT: u64 = 8 << 30;

/// Takes `name` out of a gzipped tar file.
pub fn extract_tgz(archive: &Path, name: &str, to: &Path, bytes: Option<u64>) -> Result<()> {
    let file = File::open(archive).with_context(|| format!("{} cannot be read", archive.display()))?;
    extract_tar(GzDecoder::new(BufReader::new(file)), name, to, bytes)
}

/// Unpacks a gzipped file, which must give `bytes` bytes.
pub fn gunzip(packed: &Path, to: &Path, bytes: u64) -> Result<()> {
    let file = File::open(packed).with_context(|| format!("{} cannot be read", packed.display()))?;
    let mut stream = GzDecoder::new(BufReader::new(file));
    copy(&mut stream, to, bytes)?;
    match stream.read(&mut [0]).context("the package is damaged")? {
        0 => Ok(()),
        _ => bail!("it unpacks to more than {bytes} bytes"),
    }
}

/// Takes `name`, which must have `bytes` bytes if that is known, out of a tar stream into the file `to`.
pub fn extract_tar(stream: impl Read, name: &str, to: &Path, bytes: Option<u64>) -> Result<()> {
    let mut stream = stream.take(ARCHIVE_LIMIT);
    let mut header = [0; BLOCK];
    loop {
        signals::check()?;
        match stream.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => bail!("the package has no file {name}"),
            read => read.context("the package is damaged")?,
        }
        if header.iter().all(|byte| *byte == 0) {
            bail!("the package has no file {name}");
        }
        let (entry, size) = (entry_name(&header), entry_size(&header)?);
        let is_file = matches!(header[156], b'0' | 0);
        if is_file && plain(&entry) == plain(name) {
            if let Some(bytes) = bytes
                && size != bytes
            {
                bail!("its {name} has {size} bytes instead of {bytes}");
            }
            return copy(&mut stream, to, size);
        }
        let padded = size.div_ceil(BLOCK as u64) * BLOCK as u64;
        let skipped = io::copy(&mut (&mut stream).take(padded), &mut io::sink()).context("the package is damaged")?;
        if skipped != padded {
            bail!("the package is cut short");
        }
    }
}

fn copy(stream: &mut impl Read, to: &Path, size: u64) -> Result<()> {
    let mut file = File::create(to).with_context(|| format!("{} cannot be written", to.display()))?;
    let mut left = size;
    let mut block = vec![0; 1 << 16];
    while left > 0 {
        signals::check()?;
        let most = left.min(block.len() as u64) as usize;
        let n = stream.read(&mut block[..most]).context("the package is damaged")?;
        if n == 0 {
            bail!("the package is cut short");
        }
        file.write_all(&block[..n]).with_context(|| format!("{} cannot be written", to.display()))?;
        left -= n as u64;
    }
    Ok(())
}

/// The name of an entry: the ustar prefix, then the name.
fn entry_name(header: &[u8; BLOCK]) -> String {
    let text =
        |field: &[u8]| String::from_utf8_lossy(field.split(|byte| *byte == 0).next().unwrap_or(&[])).into_owned();
    let name = text(&header[0..100]);
    match &header[257..262] {
        b"ustar" if header[345] != 0 && header[263] != b' ' => format!("{}/{name}", text(&header[345..500])),
        _ => name,
    }
}

fn entry_size(header: &[u8; BLOCK]) -> Result<u64> {
    let digits: String = header[124..136].iter().map(|byte| *byte as char).collect();
    let digits = digits.trim_matches([' ', '\0']);
    u64::from_str_radix(digits, 8)
        .ok()
        .filter(|size| *size <= ARCHIVE_LIMIT)
        .context("the package is damaged: the size of an entry")
}

/// Names in a Debian package begin with `./`, in an npm package with `package/`.
fn plain(name: &str) -> &str {
    let name = name.trim_start_matches("./").trim_start_matches('/');
    name.strip_prefix("package/").unwrap_or(name)
}
