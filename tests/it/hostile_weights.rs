//! Files of weights that were made to do harm: each is refused with one line that names the file, and the tensor where
//! there is one; nothing in it is run, and no memory is taken for what it only claims.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::workspace::{Ran, Workspace};

/// What the program may take in memory, in KiB: its own start needs a third of it.
const MEMORY: u32 = 64 << 10;

/// File name, bytes, and parts of the message.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

#[test]
fn hostile_files_are_refused_in_one_line_and_little_memory() {
    let workspace = Workspace::new("hostile-weights");
    let mut failures = Vec::new();
    let cases: Vec<Case> = [pickles(), tensors(), zips(), safetensors(), others(), views()].concat();
    let count = cases.len();
    for (index, (name, bytes, parts)) in cases.into_iter().enumerate() {
        let path = workspace.write(&format!("{index}-{name}"), bytes);
        let ran = import(&path);
        let missing: Vec<_> = parts.iter().filter(|part| !ran.stderr.contains(**part)).collect();
        if ran.code != Some(2) || !missing.is_empty() || !ran.stderr.contains(name) || ran.stderr.lines().count() != 1 {
            failures.push(format!("{name}: {:?} {} without {missing:?}", ran.code, ran.stderr));
        }
    }
    assert!(!Path::new("/tmp/report-hostile-was-here").exists(), "nothing was run");
    // A pipe without a writer: to open it would wait for ever.
    let pipe = workspace.folder.join("pipe.pth");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    for path in [pipe.as_path(), &workspace.folder] {
        let ran = import(path);
        assert!(ran.code == Some(2) && ran.stderr.contains("not a file"), "{}", ran.stderr);
    }
    let ran = import(&workspace.folder.join("no.pth"));
    assert!(ran.code == Some(3) && ran.stderr.contains("no.pth: cannot be read"), "{}", ran.stderr);
    assert!(failures.is_empty(), "{} of {count}: {failures:#?}", failures.len());
    assert!(count >= 60, "{count}");
}

/// The program under a limit of memory; beyond it, it would be aborted.
fn import(path: &Path) -> Ran {
    let program = crate::workspace::program();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -d {MEMORY}; exec \"$@\""), "sh"]).arg(program.get_program());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["encoders", "import"]).arg(path).args(["--as", "resnet50"]);
    command.output().expect("the program starts").into()
}

// Pickles that are no weights.

fn pickles() -> Vec<Case> {
    let nested = [vec![b']'; 300_000], vec![b'a'; 299_999], vec![b'.']].concat();
    let mut bomb = b"]q\x00.".to_vec();
    bomb.pop();
    for level in 0..30 {
        bomb.extend_from_slice(&[b']', b'q', level + 1, b'(']);
        bomb.extend([b'h', level].repeat(20));
        bomb.push(b'e');
    }
    bomb.push(b'.');
    let mut texts = vec![b'('];
    (0..100).for_each(|_| texts.extend(text(&"x".repeat(100_000))));
    texts.extend(b"l.");
    let mut memo = vec![b'N'];
    (0..500_000_u32).for_each(|key| memo.extend([[b'r'].as_slice(), &key.to_le_bytes()].concat()));
    memo.push(b'.');
    let doubled = |middle: &[u8]| [b"\x80\x02".as_slice(), middle].concat();
    let mut growing = b"\x80\x02]q\x00(".to_vec();
    growing.extend(b"N".repeat(390_000));
    growing.push(b'e');
    growing.extend(b"(h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00e".repeat(60_000));
    growing.push(b'.');
    vec![
        (
            "system.pth",
            doubled(b"cposix\nsystem\nX\x22\x00\x00\x00touch /tmp/report-hostile-was-here  \x85R."),
            &["posix.system", "nothing was run"],
        ),
        ("system-in-zip.pth", archive(b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00x\x85R.", &[]), &["os.system"]),
        ("system-in-legacy.pth", legacy(b"\x80\x02cos\nsystem\n)R.", b"\x80\x02].", &[]), &["os.system"]),
        (
            "eval.pkl",
            [b"\x80\x04".as_slice(), &short("builtins"), &short("eval"), b"\x93."].concat(),
            &["builtins.eval"],
        ),
        ("getattr.pth", doubled(b"c__builtin__\ngetattr\n."), &["__builtin__.getattr"]),
        ("attribute.pth", doubled(b"ctorch\nhub.load\n."), &["torch.hub.load"]),
        ("escape.pth", doubled(b"c\x1b[31m\nx\x07\n."), &["\\u{1b}[31m.x\\u{7}"]),
        (
            "module.pth",
            archive(b"\x80\x02ctorchvision.models.resnet\nResNet\n)\x81.", &[]),
            &["torchvision.models.resnet.ResNet"],
        ),
        ("inst.pkl", b"(ios\nsystem\n.".to_vec(), &["operation 0x69"]),
        ("obj.pkl", doubled(b"(N)o."), &["operation 0x6f"]),
        ("extension.pkl", doubled(b"\x82\x01."), &["operation 0x82"]),
        ("buffer.pkl", doubled(b"\x97."), &["operation 0x97"]),
        ("protocol.pkl", b"\x80\x05\x80\x09.".to_vec(), &["a protocol that does not exist"]),
        ("call-of-text.pkl", doubled(b"X\x01\x00\x00\x00x)R."), &["not a global"]),
        ("long-text.pkl", doubled(b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc"), &["bytes of text"]),
        ("long-text32.pkl", doubled(b"X\xff\xff\xff\xffabc"), &["text"]),
        ("long-bytes.pkl", doubled(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc"), &["cut short"]),
        ("long-number.pkl", doubled(b"\x8b\xff\xff\xff\xffabc"), &["cut short"]),
        ("no-stop.pkl", doubled(b"N"), &["cut short"]),
        ("empty-stack.pkl", doubled(b"."), &["too few values"]),
        ("no-mark.pkl", doubled(b"Nt."), &["no mark"]),
        ("mark-as-value.pkl", doubled(b"N(0(R."), &["value"]),
        ("no-memo.pkl", doubled(b"h\x07."), &["memo"]),
        ("odd.pkl", doubled(b"}(Nu."), &["not a dictionary"]),
        ("nested.pkl", doubled(&nested), &["within each other"]),
        ("marks.pkl", doubled(&b"(".repeat(1_000_000)), &["marks"]),
        ("memo-bomb.pkl", doubled(&bomb), &["values within values"]),
        ("cycle.pkl", doubled(b"]q\x00h\x00a."), &["within each other"]),
        ("duplicates.pkl", doubled(&[b"N".to_vec(), b"2".repeat(1_000_000)].concat()), &["on the stack"]),
        ("values.pkl", doubled(&b"N0".repeat(500_000)), &["values"]),
        ("memo.pkl", doubled(&memo), &["memo"]),
        ("decoded.pkl", doubled(&decoded()), &["numbers that are kept as text"]),
        (
            "entries.pkl",
            doubled(&[b"(".to_vec(), b"cnumpy.core.multiarray\n_reconstruct\n)R".repeat(9), b"l.".to_vec()].concat()),
            &["tensor 0", "without its state"],
        ),
        (
            "bytes-as-keys.pkl",
            doubled(
                &[
                    b"}(".to_vec(),
                    b"U\x01\x1b]N".repeat(3),
                    b"U\x01\x1bcnumpy.core.multiarray\n_reconstruct\n)Ru.".to_vec(),
                ]
                .concat(),
            ),
            &["not a dictionary"],
        ),
        ("escaped-name.pkl", doubled(b"}U\x01\x1bcnumpy.core.multiarray\n_reconstruct\n)Rs."), &["tensor \\u{1b}:"]),
        ("texts.pkl", doubled(&texts), &["bytes of text"]),
        ("operations.pkl", doubled(&b"(1".repeat(2_000_000)), &["operations"]),
        ("growing.pkl", growing, &["values"]),
        ("no-tensor.pkl", doubled(b"}X\x01\x00\x00\x00aK\x01s."), &["no tensor"]),
    ]
}

/// Many arrays of one number each, of the same long text.
fn decoded() -> Vec<u8> {
    let bytes =
        [b"c_codecs\nencode\n".to_vec(), text(&"x".repeat(1_000_000)), text("latin1"), b"\x86Rq\x01".to_vec()].concat();
    let mut pickle = [b"(".to_vec(), bytes, b"0".to_vec()].concat();
    (0..200).for_each(|_| pickle.extend(&array("f4", b"h\x01")[2..].split_last().expect("a stop").1.to_vec()));
    pickle.extend(b"l.");
    pickle
}

// Tensors that are not as they say.

fn tensors() -> Vec<Case> {
    let one = |shape: &[i64], stride: &[i64], offset: i64, kind: &str, count: i64, bytes: usize| {
        archive(&state("w", kind, "0", count, offset, shape, stride), &[("archive/data/0", vec![0; bytes])])
    };
    let plain = |shape: &[i64], stride: &[i64], offset: i64| one(shape, stride, offset, "Float", 4, 16);
    let twice = {
        let mut entry = state("w", "Float", "0", 4, 0, &[4], &[1]);
        entry.truncate(entry.len() - 1);
        let again = &state("w", "Float", "0", 4, 0, &[4], &[1])[3..];
        archive(&[&entry, again].concat(), &[("archive/data/0", vec![0; 16])])
    };
    let mut negated = state("w", "Float", "0", 4, 0, &[4], &[1]);
    negated.truncate(negated.len() - 4);
    negated.extend([b"}".to_vec(), text("neg"), b"\x88stRs.".to_vec()].concat());
    let old = |count: u64, bytes: usize| {
        let storage = [count.to_le_bytes().as_slice(), &vec![0; bytes]].concat();
        legacy(
            &state("w", "Float", "0", 4, 0, &[4], &[1]),
            &[b"\x80\x02]".as_slice(), &text("0"), b"a."].concat(),
            &storage,
        )
    };
    vec![
        ("short-storage.pth", one(&[4], &[1], 0, "Float", 4, 15), &["tensor w", "should have 16 bytes, it has 15"]),
        ("short-count.pth", one(&[4], &[1], 0, "Float", 3, 16), &["tensor w", "needs a storage of 16 bytes"]),
        (
            "no-storage.pth",
            archive(&state("w", "Float", "7", 4, 0, &[4], &[1]), &[]),
            &["tensor w", "storage '7' is not"],
        ),
        ("negative-stride.pth", plain(&[2, 2], &[-1, 1], 3), &["tensor w", "stride"]),
        ("negative-size.pth", plain(&[-2, 2], &[2, 1], 0), &["tensor w", "shape"]),
        ("negative-offset.pth", plain(&[4], &[1], -1), &["tensor w", "offset"]),
        ("negative-count.pth", one(&[4], &[1], 0, "Float", -4, 16), &["tensor w", "storage"]),
        ("offset.pth", plain(&[4], &[1], 1), &["tensor w", "needs a storage of 20 bytes"]),
        ("far-offset.pth", plain(&[4], &[1], i64::MAX), &["tensor w", "too many bytes"]),
        ("far-stride.pth", plain(&[2, 2], &[i64::MAX, 1], 0), &["tensor w", "needs a storage"]),
        ("product.pth", plain(&[1 << 40, 1 << 40], &[0, 0], 0), &["tensor w", "too large"]),
        ("product-of-nothing.pth", plain(&[1 << 40, 1 << 40, 0], &[0, 0, 0], 0), &["tensor w", "too large"]),
        ("width.pth", plain(&[1 << 62], &[0], 0), &["tensor w", "too large"]),
        ("count.pth", one(&[4], &[1], 0, "Double", i64::MAX, 16), &["tensor w", "too many numbers"]),
        ("expanded.pth", plain(&[1 << 30], &[0], 0), &["tensor w", "far more than the file"]),
        ("axes.pth", plain(&[1; 70], &[1; 70], 0), &["tensor w", "70 axes"]),
        ("axes-differ.pth", plain(&[4], &[1, 1], 0), &["tensor w", "1 axes and 2 strides"]),
        ("unknown-type.pth", one(&[4], &[1], 0, "ComplexFloat", 4, 32), &["torch.ComplexFloatStorage"]),
        ("twice.pth", twice, &["tensor w", "two of this name"]),
        (
            "negated.pth",
            archive(&negated, &[("archive/data/0", vec![0; 16])]),
            &["tensor w", "negative of what is in the file"],
        ),
        ("old-count.pth", old(1 << 62, 16), &["longer than the file"]),
        ("old-short.pth", old(4, 15), &["longer than the file"]),
        ("old-other.pth", old(3, 12), &["tensor w", "should have 16 bytes, it has 12"]),
        (
            "array-short.pkl",
            array("f4", &[b"C\x03abc".as_slice()].concat()),
            &["tensor w", "needs a storage of 4 bytes, it has 3"],
        ),
        ("array-of-objects.pkl", array("O8", b"]"), &["tensor w", "'O8'"]),
        ("array-no-bytes.pkl", array("f4", b"]"), &["tensor w", "not kept as bytes"]),
    ]
}

// Archives.

fn zips() -> Vec<Case> {
    let zeros = vec![0_u8; 100 << 20];
    let head = npy("<f4", &[25 << 20]);
    let bomb = packed("w.npy", &[head.as_slice(), &zeros].concat(), None);
    let claims = packed("w.npy", &npy("<f4", &[1 << 38]), Some((1 << 40) + 128));
    let lies =
        packed("w.npy", &[npy("<f4", &[1000]), vec![0; 10]].concat(), Some(npy("<f4", &[1000]).len() as u64 + 4000));
    let good = stored(&[("w.npy", [npy("<f4", &[1]), vec![0; 4]].concat())]);
    let end = good.len() - 22;
    let edit = |at: usize, bytes: &[u8]| {
        let mut edited = good.clone();
        edited[at..at + bytes.len()].copy_from_slice(bytes);
        edited
    };
    let table = u32::from_le_bytes(good[end + 16..end + 20].try_into().expect("four")) as usize;
    let inner = stored(&[("b.npy", [npy("<f4", &[1]), vec![0; 4]].concat())]);
    let large = |count: u64, at: u64, length: u64| {
        let mut file = good[..table].to_vec();
        let record = file.len() as u64;
        let mut zip64 = b"PK\x06\x06".to_vec();
        zip64.extend([44_u64.to_le_bytes().as_slice(), &[45, 0, 45, 0], &[0; 8]].concat());
        [count, count, length, at].iter().for_each(|number| zip64.extend(number.to_le_bytes()));
        file.extend(zip64);
        file.extend([b"PK\x06\x07\0\0\0\0".as_slice(), &record.to_le_bytes(), &[1, 0, 0, 0]].concat());
        file.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &[0xff; 12], &[0, 0]].concat());
        file
    };
    let array = [npy("<f4", &[1]), vec![0; 4]].concat();
    vec![
        ("bomb.npz", bomb, &["tensor w", "far more than the file"]),
        ("claims.npz", claims, &["w.npy ends before its length"]),
        ("lies.npz", lies, &["w.npy", "ends before its length"]),
        ("up.npz", stored(&[("../../etc/passwd.npy", array.clone())]), &["../../etc/passwd.npy", "leads out"]),
        ("root.npz", stored(&[("/etc/passwd.npy", array.clone())]), &["leads out"]),
        ("backslash.npz", stored(&[("a\\..\\b.npy", array.clone())]), &["leads out"]),
        ("drive.npz", stored(&[("C:b.npy", array.clone())]), &["leads out"]),
        ("nul.npz", stored(&[("a\0.npy", array.clone())]), &["leads out"]),
        ("long-name.npz", stored(&[(&"x".repeat(5000), array.clone())]), &["bytes of a name"]),
        ("twice.npz", stored(&[("w.npy", array.clone()), ("w.npy", array.clone())]), &["w.npy is there twice"]),
        ("overlap.npz", overlapping(&inner), &["a.npy overlaps"]),
        ("many.npz", edit(end + 8, &[0xf0, 0xff, 0xf0, 0xff]), &["cut short"]),
        ("far-table.npz", edit(end + 16, &[0xf0, 0xff, 0xff, 0x7f]), &["cut short"]),
        ("long-table.npz", edit(end + 12, &[0xf0, 0xff, 0xff, 0x7f]), &["entries"]),
        ("disks.npz", edit(end + 4, &[1, 0]), &["the table of entries is not at the end"]),
        ("encrypted.npz", edit(table + 8, &[1]), &["w.npy is encrypted"]),
        ("method.npz", edit(table + 10, &[12]), &["w.npy is packed in a way"]),
        ("sizes.npz", edit(table + 20, &[1, 0, 0, 0]), &["w.npy is stored as it is"]),
        ("past-end.npz", edit(table + 20, &[0, 0, 0, 1, 0, 0, 0, 1]), &["w.npy does not fit"]),
        ("header-elsewhere.npz", edit(table + 42, &[9]), &["w.npy has a header that differs"]),
        ("other-name.npz", edit(table + 46, b"v"), &["v.npy has a header that differs"]),
        ("checksum.npz", edit(table - 1, &[1]), &["w.npy does not have its checksum"]),
        ("entries.npz", large(1 << 40, table as u64, 51), &["65536 entries"]),
        ("far-table64.npz", large(1, u64::MAX - 10, 51), &["cut short"]),
        ("cut.npz", good[..good.len() - 1].to_vec(), &["the table of entries is not at the end"]),
        ("empty.npz", stored(&[]), &["neither PyTorch nor NumPy"]),
        ("other.pth", stored(&[("word/document.xml", b"x".to_vec())]), &["neither PyTorch nor NumPy"]),
        (
            "script.pth",
            stored(&[("m/data.pkl", b"N.".to_vec()), ("m/constants.pkl", b"N.".to_vec())]),
            &["TorchScript"],
        ),
        ("two.pth", stored(&[("a/data.pkl", b"N.".to_vec()), ("b/data.pkl", b"N.".to_vec())]), &["more than once"]),
        (
            "big-endian.pth",
            stored(&[("a/data.pkl", b"N.".to_vec()), ("a/byteorder", b"big".to_vec())]),
            &["most significant"],
        ),
        ("objects.npz", stored(&[("w.npy", npy("|O", &[1]))]), &["tensor w", "'|O'"]),
        (
            "structure.npz",
            stored(&[("w.npy", b"\x93NUMPY\x01\x00\x20\x00{'descr': [('a', '<f4')],        ".to_vec())]),
            &["tensor w", "more than one type"],
        ),
        (
            "shape.npz",
            stored(&[("w.npy", [npy("<f4", &[2]), vec![0; 4]].concat())]),
            &["tensor w", "needs a storage of 8 bytes, it has 4"],
        ),
        ("overflow.npz", stored(&[("w.npy", npy("<f4", &[1 << 40, 1 << 40]))]), &["tensor w", "too large"]),
        (
            "header.npz",
            stored(&[("w.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}".to_vec())]),
            &["tensor w", "cut short"],
        ),
        ("version.npz", stored(&[("w.npy", b"\x93NUMPY\x09\x00\x01\x00{".to_vec())]), &["tensor w", "version"]),
    ]
}

// Safetensors.

fn safetensors() -> Vec<Case> {
    let with = |header: &str, bytes: usize| {
        [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &vec![0; bytes]].concat()
    };
    let length = |length: u64| [length.to_le_bytes().as_slice(), b"{}"].concat();
    let row = |name: &str, dtype: &str, shape: &str, from: usize, to: usize| {
        format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}")
    };
    let one = |dtype: &str, shape: &str, to: usize, bytes: usize| {
        with(&format!("{{{}}}", row("w", dtype, shape, 0, to)), bytes)
    };
    let two = |first: String, second: String, bytes: usize| with(&format!("{{{first},{second}}}"), bytes);
    vec![
        ("length.safetensors", length(1 << 63), &["cut short"]),
        ("length-all.safetensors", length(u64::MAX), &["cut short"]),
        ("no-length.safetensors", length(0), &["does not begin with"]),
        ("past.safetensors", length(3), &["cut short"]),
        (
            "not-utf8.safetensors",
            [9_u64.to_le_bytes().as_slice(), b"{\"\xff\xfe\":{}}"].concat(),
            &["header is not as it should be"],
        ),
        ("not-json.safetensors", with("{w = 1}", 0), &["header is not as it should be"]),
        ("blank.safetensors", with(" {}", 0), &["does not begin with"]),
        ("deep.safetensors", with(&format!("{{\"w\":{}", "[".repeat(100_000)), 0), &["header is not as it should be"]),
        (
            "names.safetensors",
            two(row("w", "F32", "[1]", 0, 4), row("w", "F32", "[1]", 0, 4), 4),
            &["tensor w", "twice"],
        ),
        ("overlap.safetensors", two(row("v", "F32", "[2]", 0, 8), row("w", "F32", "[1]", 4, 8), 8), &["w"]),
        ("hole.safetensors", two(row("v", "F32", "[1]", 0, 4), row("w", "F32", "[1]", 8, 12), 12), &["w"]),
        (
            "rows.safetensors",
            with(
                &format!(
                    "{{{}}}",
                    (0..36_000)
                        .map(|row| format!("\"{row}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}"))
                        .collect::<Vec<_>>()
                        .join(",")
                ),
                1,
            ),
            &["of which its header knows 0"],
        ),
        (
            "reserved.pth",
            archive(&state("__metadata__", "Float", "0", 4, 0, &[4], &[1]), &[("archive/data/0", vec![0; 16])]),
            &["tensor __metadata__"],
        ),
        (
            "escape.safetensors",
            one("F32", "[1]", 4, 4).iter().map(|byte| if *byte == b'w' { 7 } else { *byte }).collect(),
            &["header is not as it should be"],
        ),
        ("trailing.safetensors", one("F32", "[1]", 4, 5), &["5 bytes of data, of which its header knows 4"]),
        ("missing.safetensors", one("F32", "[2]", 8, 7), &["tensor w", "0..8 are none of the 7"]),
        ("product.safetensors", one("F32", "[4294967296,4294967296,4294967296]", 4, 4), &["tensor w", "too large"]),
        ("width.safetensors", one("F64", "[4611686018427387904]", 4, 4), &["tensor w", "too large"]),
        ("negative.safetensors", one("F32", "[-1]", 4, 4), &["w: ", "header is not as it should be"]),
        ("type.safetensors", one("F33", "[1]", 4, 4), &["w: ", "F33"]),
        ("half-bytes.safetensors", one("F4", "[2]", 1, 1), &["tensor w", "F4 numbers"]),
        ("shape.safetensors", one("F32", "[3]", 8, 8), &["tensor w", "needs a storage of 12 bytes, it has 8"]),
        (
            "backwards.safetensors",
            with("{\"w\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,0]}}", 4),
            &["tensor w", "4..0"],
        ),
        (
            "pickle.safetensors",
            b"\x80\x02}X\x01\x00\x00\x00aK\x01s.".to_vec(),
            &["a pickle that is named .safetensors"],
        ),
        ("zip.safetensors", stored(&[("a/data.pkl", b"N.".to_vec())]), &["a zip archive that is named .safetensors"]),
        ("nothing.safetensors", Vec::new(), &["cut short"]),
        ("none.safetensors", with("{}", 0), &["no tensor"]),
    ]
}

fn others() -> Vec<Case> {
    vec![
        ("empty.pth", Vec::new(), &["an empty file"]),
        ("page.pth", b"<!DOCTYPE html>".to_vec(), &["no format that is known"]),
        ("array.npy", npy("<f4", &[0]), &["a single NumPy array"]),
        ("pointer.pth", b"version https://git-lfs.github.com/spec/v1".to_vec(), &["no format that is known"]),
    ]
}

// How the formats are written.

fn text(value: &str) -> Vec<u8> {
    [[b'X'].as_slice(), &(value.len() as u32).to_le_bytes(), value.as_bytes()].concat()
}

fn short(value: &str) -> Vec<u8> {
    [&[0x8c, value.len() as u8], value.as_bytes()].concat()
}

fn int(value: i64) -> Vec<u8> {
    [[0x8a, 8].as_slice(), &value.to_le_bytes()].concat()
}

fn tuple(values: &[i64]) -> Vec<u8> {
    [b"(".to_vec(), values.iter().flat_map(|value| int(*value)).collect(), b"t".to_vec()].concat()
}

/// A dictionary with one tensor.
fn state(name: &str, kind: &str, key: &str, count: i64, offset: i64, shape: &[i64], stride: &[i64]) -> Vec<u8> {
    [
        b"\x80\x02}".to_vec(),
        text(name),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{kind}Storage\n").into_bytes(),
        text(key),
        text("cpu"),
        int(count),
        b"tQ".to_vec(),
        int(offset),
        tuple(shape),
        tuple(stride),
        b"\x89}tRs.".to_vec(),
    ]
    .concat()
}

/// A dictionary with one NumPy array of one number.
fn array(descr: &str, bytes: &[u8]) -> Vec<u8> {
    [
        b"\x80\x02}".to_vec(),
        text("w"),
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01K\x01\x85cnumpy\ndtype\n"
            .to_vec(),
        text(descr),
        b"K\x00K\x01\x87R\x89".to_vec(),
        bytes.to_vec(),
        b"tbs.".to_vec(),
    ]
    .concat()
}

fn archive(pickle: &[u8], more: &[(&str, Vec<u8>)]) -> Vec<u8> {
    stored(&[&[("archive/data.pkl", pickle.to_vec())], more].concat())
}

fn legacy(object: &[u8], keys: &[u8], storages: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    [magic, object, keys, storages].concat()
}

fn npy(descr: &str, shape: &[u64]) -> Vec<u8> {
    let shape: String = shape.iter().map(|length| format!("{length},")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let header = format!("{header:<117}\n");
    [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat()
}

/// A row of the table, and the entry itself.
struct Row<'name> {
    name: &'name str,
    method: u16,
    checksum: u32,
    packed: u32,
    length: u64,
    at: u32,
}

impl Row<'_> {
    fn both(&self) -> (Vec<u8>, Vec<u8>) {
        let large = self.length >= u64::from(u32::MAX);
        let extra = if large { [[1, 0, 8, 0].as_slice(), &self.length.to_le_bytes()].concat() } else { Vec::new() };
        let mut common =
            [[20, 0, 0, 0].as_slice(), &self.method.to_le_bytes(), &[0; 4], &self.checksum.to_le_bytes()].concat();
        common.extend(self.packed.to_le_bytes());
        common.extend(if large { u32::MAX } else { self.length as u32 }.to_le_bytes());
        common.extend((self.name.len() as u16).to_le_bytes());
        common.extend((extra.len() as u16).to_le_bytes());
        let header = [b"PK\x03\x04".as_slice(), &common, self.name.as_bytes(), &extra].concat();
        let row =
            [b"PK\x01\x02\x14\x00".as_slice(), &common, &[0; 10], &self.at.to_le_bytes(), self.name.as_bytes(), &extra]
                .concat();
        (header, row)
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

fn end(mut file: Vec<u8>, table: Vec<u8>, count: u16) -> Vec<u8> {
    let at = file.len() as u32;
    let length = table.len() as u32;
    file.extend(table);
    file.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count.to_le_bytes(), &count.to_le_bytes()].concat());
    file.extend([length.to_le_bytes(), at.to_le_bytes()].concat());
    file.extend([0, 0]);
    file
}

fn stored(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut table) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let length = bytes.len();
        let (header, row) = Row {
            name,
            method: 0,
            checksum: checksum(bytes),
            packed: length as u32,
            length: length as u64,
            at: file.len() as u32,
        }
        .both();
        file.extend([header, bytes.clone()].concat());
        table.extend(row);
    }
    end(file, table, entries.len() as u16)
}

fn packed(name: &str, bytes: &[u8], claimed: Option<u64>) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    let deflated = encoder.finish().expect("memory");
    let length = claimed.unwrap_or(bytes.len() as u64);
    let (header, row) =
        Row { name, method: 8, checksum: checksum(bytes), packed: deflated.len() as u32, length, at: 0 }.both();
    end([header, deflated].concat(), row, 1)
}

/// An entry whose bytes are those of another archive, whose entry is in the table as well.
fn overlapping(inner: &[u8]) -> Vec<u8> {
    let outer = Row {
        name: "a.npy",
        method: 0,
        checksum: checksum(inner),
        packed: inner.len() as u32,
        length: inner.len() as u64,
        at: 0,
    };
    let (header, row) = outer.both();
    let table = u32::from_le_bytes(inner[inner.len() - 6..inner.len() - 2].try_into().expect("four")) as usize;
    let mut second = inner[table..inner.len() - 22].to_vec();
    second[42..46].copy_from_slice(&(header.len() as u32).to_le_bytes());
    end([header, inner.to_vec()].concat(), [row, second].concat(), 2)
}

/// Files of PyTorch before 0.4 have views of a storage.
fn views() -> Vec<Case> {
    let with_view = |from: i64, count: i64| {
        let whole = state("w", "Short", "0", 6, 1, &[2], &[1]);
        let at = whole.windows(2).position(|pair| pair == b"tQ").expect("a storage");
        let view = [b"(".to_vec(), text("1"), int(from), int(count), b"t".to_vec()].concat();
        let object = [&whole[..at], &view, &whole[at..]].concat();
        let numbers = [6_u64.to_le_bytes().as_slice(), &[0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0]].concat();
        legacy(&object, &[b"\x80\x02]".as_slice(), &text("0"), b"a."].concat(), &numbers)
    };
    [(2, 2), (4, 3), (i64::MAX, 3), (-1, 3)]
        .map(|(from, count)| ("view.pth", with_view(from, count), ["tensor w"].as_slice()))
        .to_vec()
}
