//! Resumable downloads over HTTP, with an end to everything: connecting, waiting, size.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::{Bar, Expected};
use crate::signals;

/// How long a machine may take to be found and to accept a connection, and then to send something.
const CONNECT: Duration = Duration::from_secs(4);
const SILENCE: Duration = Duration::from_secs(10);
/// How often a download that was cut is gone on with, each time from where it was.
const CUTS: usize = 4;

/// Remembers which machines do not answer, so that each costs its time-out once.
pub struct Client {
    agent: Agent,
    silence: Duration,
    dead: BTreeMap<String, String>,
}

impl Client {
    pub fn new() -> Client {
        Client::with_timeouts(CONNECT, SILENCE)
    }

    pub fn with_timeouts(connect: Duration, silence: Duration) -> Client {
        let config = Agent::config_builder()
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .http_status_as_error(false)
            .max_redirects(5)
            // The system's certificates: companies add their own.
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .build();
        Client { agent: config.into(), silence, dead: BTreeMap::new() }
    }

    /// Downloads what is expected into `part`, going on with what is there already; never more than `most` bytes.
    ///
    /// If the SHA-256 is wrong and the beginning was from an earlier time, once more from the start; the caller has the
    /// last word on the checksum.
    pub fn download(&mut self, url: &str, part: &Path, expected: Expected, most: u64, bar: &Bar) -> Result<()> {
        if let Some(reason) = self.dead.get(host(url)) {
            bail!("{reason}");
        }
        let had_before = length(part) > 0;
        let done = self.attempts(url, part, expected.bytes, most, bar);
        if let Err(error) = &done
            && !error.is::<signals::Interrupted>()
            && is_unreachable(error)
        {
            self.dead.insert(host(url).to_owned(), format!("{error:#}"));
        }
        done?;
        if had_before && !expected.is_met(part)?.0 {
            fs::remove_file(part).with_context(|| part.display().to_string())?;
            return self.attempts(url, part, expected.bytes, most, bar);
        }
        Ok(())
    }

    /// The text at an address, of so many bytes at most.
    pub fn text(&self, url: &str, most: u64) -> Result<String> {
        let mut response = self.agent.get(url).call().map_err(|error| self.explain(error))?;
        if response.status() != 200 {
            bail!("{url} answers with {}", response.status());
        }
        Ok(response.body_mut().with_config().limit(most).read_to_string()?)
    }

    /// Goes on after a cut as long as each attempt brings something.
    fn attempts(&self, url: &str, part: &Path, bytes: Option<u64>, most: u64, bar: &Bar) -> Result<()> {
        let mut expected = bytes;
        for _ in 0..CUTS {
            let before = length(part);
            let told = self.attempt(url, part, bytes, most, bar)?;
            let after = length(part);
            expected = bytes.or(told);
            match expected {
                Some(expected) if after < expected && after <= before => {
                    bail!("it ends after {after} of {expected} bytes");
                }
                Some(expected) if after < expected => {}
                _ => return Ok(()),
            }
        }
        bail!(
            "it was cut {CUTS} times, at last after {} of {} bytes; run the command again to go on",
            length(part),
            expected.unwrap_or_default()
        )
    }

    /// One request; gives the size of the whole file, where the server tells it. A connection that is cut is no error here,
    /// if it can be told from the end; what came stays in `part`.
    fn attempt(&self, url: &str, part: &Path, bytes: Option<u64>, most: u64, bar: &Bar) -> Result<Option<u64>> {
        let have = match length(part) {
            have if bytes.is_some_and(|bytes| have >= bytes) => 0,
            have => have,
        };
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let mut response = request.call().map_err(|error| self.explain(error))?;
        let resumed = have > 0 && response.status() == 206 && starts_at(&response, have);
        if !resumed && response.status() != 200 {
            if have > 0 {
                fs::remove_file(part).with_context(|| part.display().to_string())?;
                return self.attempt(url, part, bytes, most, bar);
            }
            bail!("it answers with {}", response.status());
        }
        let start = if resumed { have } else { 0 };
        let told = response.body().content_length().map(|more| start + more);
        let most = bytes.unwrap_or(most);
        if let Some(told) = told {
            match bytes {
                Some(bytes) if told > bytes => bail!("it has {told} bytes instead of {bytes}"),
                _ if told > most => bail!("it has {told} bytes, more than {most}"),
                _ => {}
            }
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(resumed)
            .write(true)
            .truncate(!resumed)
            .open(part)
            .with_context(|| format!("{} cannot be written", part.display()))?;
        let mut reader = response.body_mut().as_reader();
        let mut block = vec![0; 1 << 16];
        let mut total = start;
        loop {
            signals::check()?;
            let n = match reader.read(&mut block) {
                Ok(0) => return Ok(told),
                Ok(n) => n,
                // Without a length there is no telling how much is missing.
                Err(error) if bytes.or(told).is_none() => return Err(error).context("the connection was cut"),
                Err(_) => return Ok(told),
            };
            total += n as u64;
            if total > most {
                fs::remove_file(part).with_context(|| part.display().to_string())?;
                bail!("it is larger than {most} bytes");
            }
            file.write_all(&block[..n]).with_context(|| format!("{} cannot be written", part.display()))?;
            bar.reached(total, bytes.or(told));
        }
    }

    fn explain(&self, error: ureq::Error) -> anyhow::Error {
        match error {
            ureq::Error::Timeout(_) => {
                Unreachable(format!("it does not answer within {} s", self.silence.as_secs_f32())).into()
            }
            ureq::Error::HostNotFound => Unreachable("its machine is not found".to_owned()).into(),
            ureq::Error::ConnectionFailed => Unreachable("it accepts no connection".to_owned()).into(),
            ureq::Error::Io(error) => Unreachable(format!("it cannot be reached: {error}")).into(),
            error => error.into(),
        }
    }
}

/// The machine and port of an address.
pub fn host(url: &str) -> &str {
    url.split('/').nth(2).unwrap_or(url)
}

/// The machine did not answer at all; no use in asking it again for the next file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreachable(String);

fn is_unreachable(error: &anyhow::Error) -> bool {
    error.is::<Unreachable>()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

fn starts_at(response: &ureq::http::Response<ureq::Body>, have: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}
