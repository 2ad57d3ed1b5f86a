use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::datasets::registry;

type Answer = Box<dyn Fn(&mut TcpStream) + Send>;

/// A server that answers each connection in turn with one of `answers`, and tells the requests that it got.
fn server(answers: Vec<Answer>) -> (&'static str, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/images", listener.local_addr().expect("its address"));
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut request = String::new();
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            while reader.read_line(&mut request).is_ok_and(|n| n > 2) {}
            let _ = sender.send(request.to_lowercase());
            answer(&mut stream);
        }
    });
    (Box::leak(url.into_boxed_str()), requests)
}

fn says(head: &'static str, length: usize, body: &'static [u8]) -> Answer {
    Box::new(move |stream| {
        let _ = write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(body);
    })
}

const BODY: &[u8] = b"ten bytes!";

fn session() -> Session {
    let client = http::Client::with_timeouts(Duration::from_millis(300), Duration::from_millis(300));
    Session { packages: Packages::new().expect("a temporary folder"), client, told: BTreeSet::new() }
}

/// Fetches a file of `BODY` from the sources, into a new folder.
fn fetch(places: &str, prepare: impl Fn(&Path)) -> (Result<()>, TempFile) {
    let place = TempFile(tempfile::tempdir().expect("a temporary folder"));
    fs::create_dir(place.0.path().join("toy")).expect("made");
    prepare(&place.path());
    let sum: String = Sha256::digest(BODY).iter().map(|byte| format!("{byte:02x}")).collect();
    let row = row(&format!("[[dataset.file]]\nname = 'images'\nbytes = 10\nsha256 = '{sum}'\n{places}"));
    (session().dataset(&row, false, place.0.path()), place)
}

/// The row of a dataset with more to be said of it.
fn row(more: &str) -> Row {
    let text = format!(
        "[[dataset]]\nname = 'toy'\nlayout = 'idx'\nhome = 'https://example.org'\nfolders = ['toy']\nmarker = ['images']\n{more}"
    );
    registry::parse(&text).expect("a row").remove(0)
}

fn at(url: &str) -> String {
    format!("urls = ['{url}']")
}

/// A folder with the file to be fetched.
struct TempFile(tempfile::TempDir);

impl TempFile {
    fn path(&self) -> PathBuf {
        self.0.path().join("toy/images")
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        fs::read(self.path()).ok()
    }
}

fn message(result: Result<()>) -> String {
    format!("{:#}", result.expect_err("it must fail"))
}

#[test]
fn a_file_that_is_served_is_put_in_place() {
    let (url, _) = server(vec![says("200 OK", 10, BODY)]);
    let (result, place) = fetch(&at(url), |_| ());
    result.expect("served");
    assert_eq!(place.bytes().as_deref(), Some(BODY));
    assert!(!with_end(&place.path(), ".part").exists());
}

#[test]
fn a_file_that_is_there_is_not_asked_for() {
    let (url, requests) = server(vec![says("200 OK", 10, BODY)]);
    let (result, _place) = fetch(&at(url), |path| fs::write(path, BODY).expect("written"));
    result.expect("there");
    assert!(requests.try_recv().is_err());
}

#[test]
fn a_damaged_file_is_fetched_again() {
    let (url, _) = server(vec![says("200 OK", 10, BODY)]);
    let (result, place) = fetch(&at(url), |path| fs::write(path, b"ten bytes?").expect("written"));
    result.expect("served");
    assert_eq!(place.bytes().as_deref(), Some(BODY));
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_was() {
    let rest: Answer = Box::new(|stream| {
        let _ =
            stream.write_all(b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\nbytes!");
    });
    let (url, requests) = server(vec![says("200 OK", 10, b"ten "), rest]);
    let (result, place) = fetch(&at(url), |_| ());
    result.expect("gone on with");
    assert_eq!(place.bytes().as_deref(), Some(BODY));
    let requests: Vec<String> = requests.try_iter().collect();
    assert!(!requests[0].contains("range:") && requests[1].contains("range: bytes=4-"), "{requests:?}");
}

#[test]
fn a_server_without_ranges_starts_again() {
    let (url, _) = server(vec![says("200 OK", 10, BODY)]);
    let (result, place) = fetch(&at(url), |path| fs::write(with_end(path, ".part"), b"ten ").expect("written"));
    result.expect("from the start");
    assert_eq!(place.bytes().as_deref(), Some(BODY));
}

#[test]
fn an_earlier_part_of_something_else_costs_one_more_download() {
    let rest: Answer = Box::new(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\nConnection: close\r\n\r\nbytes!");
    });
    let (url, _) = server(vec![rest, says("200 OK", 10, BODY)]);
    let (result, place) = fetch(&at(url), |path| fs::write(with_end(path, ".part"), b"XXXX").expect("written"));
    result.expect("once more");
    assert_eq!(place.bytes().as_deref(), Some(BODY));
}

#[test]
fn every_bad_answer_is_named_and_leaves_nothing() {
    let cases: Vec<(&str, &str, usize, &[u8])> = vec![
        ("instead of 10", "200 OK", 11, b"ten bytes!!"),
        ("another file", "200 OK", 10, b"ten bytes?"),
        ("404", "404 Not Found", 0, b""),
        ("500", "500 Internal", 3, b"bad"),
        ("0 of 10", "200 OK", 0, b""),
    ];
    for (words, head, length, body) in cases {
        let (url, _) = server(vec![says(head, length, body), says(head, length, body)]);
        let (result, place) = fetch(&at(url), |_| ());
        let text = message(result);
        assert!(text.contains(words), "{words}: {text}");
        assert!(text.contains("by hand") || text.contains("put the file"), "{text}");
        assert_eq!(place.bytes(), None);
    }
}

#[test]
fn an_answer_without_a_length_is_cut_at_the_limit() {
    let flood: Answer = Box::new(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let (url, _) = server(vec![flood]);
    let (result, place) = fetch(&at(url), |_| ());
    assert!(message(result).contains("larger than 10 bytes"));
    assert!(!with_end(&place.path(), ".part").exists());
}

#[test]
fn a_server_that_never_answers_is_given_up_once_and_the_next_source_is_tried() {
    let silent: Answer = Box::new(|_| std::thread::sleep(Duration::from_secs(5)));
    let (dead, requests) = server(vec![silent]);
    let (url, _) = server(vec![says("200 OK", 10, BODY)]);
    let started = std::time::Instant::now();
    let (result, place) = fetch(&format!("urls = ['{dead}', '{dead}', '{url}']"), |_| ());
    result.expect("from the third source");
    assert_eq!(place.bytes().as_deref(), Some(BODY));
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(requests.try_iter().count(), 1);
}

#[test]
fn a_gzipped_file_is_unpacked_and_checked_on_both_sides() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(BODY).expect("packed");
    let packed: &'static [u8] = encoder.finish().expect("packed").leak();
    let sum: String = Sha256::digest(packed).iter().map(|byte| format!("{byte:02x}")).collect();
    let sum: &'static str = sum.leak();
    for (sha256, fails) in [(sum, false), ("other", true)] {
        let (url, _) = server(vec![says("200 OK", packed.len(), packed)]);
        let bytes = packed.len();
        let source =
            format!("[[dataset.file.source]]\ngzip = {{ url = '{url}', bytes = {bytes}, sha256 = '{sha256}' }}");
        let (result, place) = fetch(&source, |_| ());
        assert_eq!(result.is_err(), fails);
        assert_eq!(place.bytes().as_deref(), if fails { None } else { Some(BODY) });
        let left = fs::read_dir(place.0.path().join("toy")).expect("the folder").flatten().map(|entry| entry.path());
        assert_eq!(left.filter(|path| path != &place.path() && !path.ends_with(".lock")).count(), 0);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, to) = (folder.path().join("gz"), folder.path().join("out"));
    fs::write(&from, packed).expect("written");
    assert!(message(archive::gunzip(&from, &to, 9)).contains("more than 9"));
    assert!(message(archive::gunzip(&from, &to, 11)).contains("cut short"));
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let text = message(datasets(&["mnist-".to_owned()], false, Path::new("/nonexistent")));
    assert!(text.contains("`mnist-`") && text.contains("did you mean `mnist`"), "{text}");
}

#[test]
fn what_must_be_had_by_hand_is_told_with_its_place_and_checksum() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let of_toy = "obtain = 'Ask its authors.'\n[[dataset.file]]\nname = 'toy.tar'\nunpacked = '.'\nholds = 'images'\nmd5 = 'abc'\n";
    let text = message(session().dataset(&row(of_toy), false, folder.path()));
    let place = folder.path().join("toy");
    for words in ["Ask its authors.", &format!("folder: {}", place.display()), "file: toy.tar (MD5 abc)", "verify toy"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    // Unpacked it is there as well.
    fs::create_dir(place.join("images")).expect("made");
    session().dataset(&row(of_toy), false, folder.path()).expect("there");
}

#[test]
fn files_of_the_training_partition_are_fetched_when_asked_for() {
    let (url, _) = server(vec![says("200 OK", 10, BODY), says("200 OK", 10, BODY)]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = format!(
        "[[dataset.file]]\nname = 'images'\nbytes = 10\nurls = ['{url}']\n\
         [[dataset.file]]\nname = 'more'\nbytes = 10\nurls = ['{url}']\ntrain = true\n"
    );
    for (train, count) in [(false, 1), (true, 2)] {
        session().dataset(&row(&files), train, folder.path()).expect("served");
        let found = ["images", "more"].iter().filter(|name| folder.path().join("toy").join(name).exists()).count();
        assert_eq!(found, count);
    }
}

/// A tar file with these entries; a name longer than 100 bytes is split at its last `/` into the prefix.
fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, body) in entries {
        let mut header = [0_u8; 512];
        let (prefix, name) = if name.len() > 100 { name.rsplit_once('/').expect("a folder") } else { ("", *name) };
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", body.len()).as_bytes());
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len().div_ceil(512) * 512, 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn a_file_is_taken_out_of_a_tar_stream_or_the_reason_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let to = folder.path().join("out");
    let long = format!("./{}/images", "d".repeat(120));
    let whole = tar(&[("package/other", b"x"), ("package/data/images", BODY), (&long, b"deep")]);
    let take = |bytes: &[u8], name: &str, size: u64| archive::extract_tar(bytes, name, &to, Some(size));
    take(&whole, "data/images", 10).expect("an npm name");
    assert_eq!(fs::read(&to).expect("written"), BODY);
    take(&whole, &long[2..], 4).expect("a long name");
    assert_eq!(fs::read(&to).expect("written"), b"deep");
    assert!(message(take(&whole, "data/images", 9)).contains("10 bytes instead of 9"));
    assert!(message(take(&whole, "data/labels", 9)).contains("no file data/labels"));
    assert!(message(take(&whole[..1540], "data/images", 10)).contains("cut short"));
    assert!(message(take(&whole[..700], "data/images", 10)).contains("cut short"));
    assert!(message(take(&[b'7'; 2048], "data/images", 10)).contains("damaged"));
    assert!(message(take(b"", "data/images", 10)).contains("no file"));
}

#[test]
fn a_client_that_is_missing_or_fails_is_named_with_its_own_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = packages::run(std::process::Command::new("no-such-client"), folder.path());
    assert_eq!(message(missing), "no-such-client is not installed");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "echo first; echo 'E: no such package' >&2; echo last; exit 4"]);
    let text = message(packages::run(command, folder.path()));
    assert!(text.contains("exit status: 4") && text.contains("E: no such package"), "{text}");
}

#[test]
fn links_of_a_package_index_are_joined_to_its_page() {
    let page = "https://index.example/simple/ndf/";
    for (link, expected) in [
        ("https://files.example/a/ndf-1.tar.gz", "https://files.example/a/ndf-1.tar.gz"),
        ("/packages/ndf-1.tar.gz", "https://index.example/packages/ndf-1.tar.gz"),
        ("../../packages/ndf-1.tar.gz", "https://index.example/packages/ndf-1.tar.gz"),
        ("ndf-1.tar.gz", "https://index.example/simple/ndf/ndf-1.tar.gz"),
    ] {
        assert_eq!(packages::joined(page, link), expected);
    }
}
