//! Real files, made by `tests/fixtures/checkpoints/make.py` with the tensors that they hold beside them, and damaged ones.

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints")
}

/// Names of the files in the folder, without those that hold what is expected.
fn fixtures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("a folder");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let is_case = |path: &PathBuf| path.extension().is_some_and(|kind| kind != "expected" && kind != "py");
    let mut cases: Vec<_> = paths.filter(is_case).collect();
    cases.sort();
    cases
}

type Row = (String, String, Vec<usize>, Vec<u8>);

fn rows(path: &Path) -> Result<Vec<Row>, CheckpointError> {
    let checkpoint = read(path)?;
    let rows = checkpoint.tensors().iter().map(|tensor| {
        Ok((tensor.name.clone(), tensor.dtype.to_string(), tensor.shape.clone(), checkpoint.data(tensor)?))
    });
    let mut rows = rows.collect::<Result<Vec<Row>, CheckpointError>>()?;
    rows.sort();
    Ok(rows)
}

#[test]
fn tensors_of_real_files_are_those_that_python_sees() {
    let cases = fixtures();
    assert_eq!(cases.len(), 28, "{cases:?}");
    for path in cases {
        let expected = rows(&path.with_added_extension("expected")).unwrap_or_else(|error| panic!("{error}"));
        let found = rows(&path).unwrap_or_else(|error| panic!("{error}"));
        let names = |rows: &[Row]| rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{}", path.display());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

#[test]
fn keys_on_the_way_are_a_tensors_name() {
    let names: Vec<String> =
        rows(&folder().join("nested.zip.pth")).expect("readable").into_iter().map(|row| row.0).collect();
    for name in ["state_dict.module.encoder.0.weight", "optimizer.state.0.exp_avg", "rng.0", "list.0"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
}

/// Cut at any length, and with bits changed: an error or tensors, no panic.
#[test]
fn damaged_files_do_not_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut files = Files::new("damaged");
    for path in fixtures() {
        for path in [path.clone(), path.with_added_extension("expected")] {
            let whole = std::fs::read(&path).expect("readable");
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            for round in 0..ROUNDS {
                let mut bytes = whole.clone();
                match round % 3 {
                    0 => bytes.truncate(random.below(whole.len())),
                    // Numbers are most of a file, and what is not is at its beginning or end.
                    1 => (0..=random.below(4)).for_each(|_| {
                        let near = random.below(whole.len().min(400));
                        let at = if random.below(2) == 0 { near } else { whole.len() - 1 - near };
                        bytes[at] ^= 1 << random.below(8);
                    }),
                    _ => (0..=random.below(4)).for_each(|_| {
                        bytes[random.below(whole.len())] = [0, 1, 0x7f, 0x80, 0xff, b'(', b'.', b'R'][random.below(8)];
                    }),
                }
                files.check(&name, &bytes);
            }
        }
    }
    assert!(files.refused > 1000 && files.taken > 100, "{} {}", files.refused, files.taken);
}

/// Operations in any order, with the names that weights have.
#[test]
fn any_pickles_do_not_panic() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut files = Files::new("any");
    let pieces: Vec<Vec<u8>> = [
        b"(".as_slice(),
        b"0",
        b"1",
        b"2",
        b"N",
        b"K\x01",
        b"K\x02",
        b"J\xff\xff\xff\xff",
        b"\x8a\x08\0\0\0\0\0\0\0\x40",
        b"\x88",
        b"G\0\0\0\0\0\0\0\0",
        b"C\x04abcd",
        b"U\x04abcd",
        b")",
        b"]",
        b"}",
        b"\x8f",
        b"t",
        b"l",
        b"d",
        b"a",
        b"e",
        b"s",
        b"u",
        b"b",
        b"q\0",
        b"q\x01",
        b"h\0",
        b"h\x01",
        b"\x94",
        b"R",
        b"\x81",
        b"Q",
        b"\x85",
        b"\x86",
        b"\x87",
        b"\x8c\x01w",
        b"\x8c\x07storage",
        b"\x8c\x02f4",
        b"\x8c\x01>",
        b"(K\x02K\x02t",
        b"(K\x02K\x01t",
        b"ctorch\nFloatStorage\n",
        b"ctorch\nfloat16\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch._utils\n_rebuild_tensor_v3\n",
        b"ctorch._utils\n_rebuild_parameter\n",
        b"ctorch._tensor\n_rebuild_from_type_v2\n",
        b"ccollections\nOrderedDict\n",
        b"c_codecs\nencode\n",
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"cnumpy\ndtype\n",
        b"cnumpy.core.numeric\n_frombuffer\n",
        // Whole values, so that what is made of them is not always refused at once.
        b"cnumpy\ndtype\n\x8c\x02f4\x85R",
        b"(\x8c\x07storagectorch\nFloatStorage\n\x8c\x010NK\x04tQ",
        b"cnumpy.core.numeric\n_frombuffer\n(C\x04abcdcnumpy\ndtype\n\x8c\x02f4\x85RK\x01\x85\x8c\x01CtR",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    for _ in 0..ROUNDS * 100 {
        let mut bytes = b"\x80\x02}\x8c\x01w".to_vec();
        (0..[3, 8, 40][random.below(3)]).for_each(|_| bytes.extend_from_slice(&pieces[random.below(pieces.len())]));
        bytes.extend_from_slice([b"".as_slice(), b"s", b"tRs", b"e", b"u"][random.below(5)]);
        bytes.push(b'.');
        files.check("any.pkl", &bytes);
    }
    assert!(files.refused > 1000 && files.taken > 2, "{} {}", files.refused, files.taken);
}

/// How many times each file is damaged: a few thousand files in all.
const ROUNDS: usize = 60;

/// Marsaglia's xorshift64: any sequence will do, if it is the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// A folder for files that are read once, and how that ended.
struct Files {
    folder: PathBuf,
    refused: usize,
    taken: usize,
}

impl Files {
    fn new(name: &str) -> Files {
        let folder = std::env::temp_dir().join(format!("report-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Files { folder, refused: 0, taken: 0 }
    }

    fn check(&mut self, name: &str, bytes: &[u8]) {
        let path = self.folder.join(format!("{}-{name}", self.refused + self.taken));
        std::fs::write(&path, bytes).expect("writable");
        match rows(&path) {
            Ok(_) => self.taken += 1,
            Err(error) => {
                let message = error.to_string();
                assert!(message.starts_with(&*path.to_string_lossy()), "names the file: {message}");
                self.refused += 1;
            }
        }
        std::fs::remove_file(&path).expect("removed");
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
