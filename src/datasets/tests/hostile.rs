//! Archives, lists and images that are damaged or mean harm: each ends in an error that names the file.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::SimpleFileOptions;

use super::*;
use crate::datasets::archive::Archive;
use crate::fs::TestFolder;

fn put(folder: &TestFolder, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.0.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(&path, bytes).expect("written");
    path
}

fn opened(path: &Path) -> Result<Vec<String>, String> {
    let archive = Archive::open(path).map_err(|error| error.to_string())?;
    Ok(archive.entries.keys().cloned().collect())
}

/// The smallest GIF of one pixel in the given grey.
fn gif(grey: u8) -> Vec<u8> {
    let mut bytes = b"GIF89a\x01\0\x01\0\x80\0\0".to_vec();
    bytes.extend([grey; 6]);
    bytes.extend(b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;");
    bytes
}

/// A tar of files, links and others: kind, name, content or target.
fn tar(entries: &[(tar::EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        // As an attacker does it: the crate itself refuses such names.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        if *kind == tar::EntryType::Regular {
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).expect("memory");
        } else {
            header.as_mut_bytes()[157..157 + content.len()].copy_from_slice(content);
            header.set_size(0);
            header.set_cksum();
            builder.append(&header, std::io::empty()).expect("memory");
        }
    }
    builder.into_inner().expect("memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).expect("a name");
        writer.write_all(bytes).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

const FILE: tar::EntryType = tar::EntryType::Regular;

#[test]
fn archives_that_mean_harm_are_refused_by_name() {
    let folder = TestFolder::new("hostile-archives");
    let good: &[(tar::EntryType, &str, &[u8])] = &[(FILE, "a/1.gif", b"one"), (FILE, "./b//2.gif", b"two")];
    assert_eq!(opened(&put(&folder, "good.tar", &tar(good))).expect("good"), ["a/1.gif", "b/2.gif"]);
    assert_eq!(opened(&put(&folder, "good.zip", &zip(&[("a/1.gif", b"one")]))).expect("good"), ["a/1.gif"]);
    // Links and devices are no files.
    let links: &[(tar::EntryType, &str, &[u8])] = &[
        (tar::EntryType::Symlink, "passwd.gif", b"/etc/passwd"),
        (tar::EntryType::Link, "hard.gif", b"../outside"),
        (tar::EntryType::Fifo, "pipe.gif", b""),
        (FILE, "real.gif", b"x"),
    ];
    assert_eq!(opened(&put(&folder, "links.tar", &tar(links))).expect("good"), ["real.gif"]);
    let cut = tar(good);
    let packed = gzip(&tar(good));
    let mut overlap = zip(&[("a", b"0123456789"), ("b", b"0123456789")]);
    let second = overlap.windows(4).rposition(|four| four == b"PK\x01\x02").expect("a table");
    overlap[second + 42..second + 46].fill(0);
    for (name, bytes, expected) in [
        ("up.tar", tar(&[(FILE, "../up.gif", b"x")]), "the name \"../up.gif\" in it leads out of it"),
        ("deep.tar", tar(&[(FILE, "a/../../up.gif", b"x")]), "leads out of it"),
        ("root.tar", tar(&[(FILE, "/etc/cron.d/x", b"x")]), "leads out of it"),
        ("up.zip", zip(&[("../up.gif", b"x")]), "leads out of it"),
        ("twice.tar", tar(&[(FILE, "a", b"x"), (FILE, "./a", b"y")]), "it has two files \"./a\""),
        ("overlap.zip", overlap, "bytes in it belong to two files"),
        ("cut.tar", cut[..514].to_vec(), "it is cut short in \"a/1.gif\""),
        ("cut.tgz", packed[..packed.len() / 2].to_vec(), "it is damaged or cut short"),
        ("cut.zip", zip(&[("a", b"x")])[..60].to_vec(), "its table cannot be read"),
        ("bomb.tgz", gzip(&vec![0; 300 << 20]), "100 times its size"),
        ("text.tar", b"<html>404</html>".to_vec(), "it is neither a tar, nor a gzipped tar, nor a zip file"),
        ("empty.tar", Vec::new(), "it is neither a tar"),
    ] {
        let path = put(&folder, name, &bytes);
        let message = opened(&path).expect_err(name);
        assert!(message.contains(expected) && message.contains(name), "{name}: {message}");
    }
    let written: Vec<PathBuf> = fs::files_below(&folder.0).expect("a folder");
    assert!(written.iter().all(|path| path.parent() == Some(folder.0.as_path())), "nothing was unpacked: {written:?}");
}

/// An entry that claims another size than it unpacks to, or that was changed.
#[test]
fn damage_in_an_archive_is_a_bad_image() {
    let folder = TestFolder::new("hostile-entries");
    let images: Vec<(String, Vec<u8>)> = (0..3).map(|grey| (format!("a/{grey}.gif"), gif(grey))).collect();
    let entries: Vec<(&str, &[u8])> = images.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let mut bytes = zip(&entries);
    let data = bytes.windows(4).position(|four| four == b"PK\x03\x04").expect("an entry") + 30 + "a/0.gif".len();
    bytes[data + 5] ^= 1;
    put(&folder, "own.zip", &bytes);
    let text = format!(
        "[[dataset]]\nname = 'own'\nlayout = 'imagefolder'\nfolders = ['{}']\n[[dataset.file]]\nname = 'own.zip'\nunpacked = '.'\n",
        folder.0.display()
    );
    let row = registry::parse(&text).expect("a row").remove(0);
    let load = |allow_bad| load_from(&folder.0, &row, &LoadOptions { allow_bad, ..LoadOptions::default() });
    let message = load(0.0).expect_err("damaged").to_string();
    assert!(message.contains("1 of 3 images are bad") && message.contains("own.zip/a/0.gif: it"), "{message}");
    let dataset = load(0.5).expect("allowed");
    assert_eq!((dataset.len(), dataset.class(0)), (2, "a"));
    assert_eq!(dataset.image(0).expect("decoded").pixels[0], 1);
}

#[test]
fn lists_that_contradict_are_refused_with_their_line() {
    let load = |folder: &TestFolder, name: &str| {
        let mut row = registry::find(name).expect("a row");
        (row.samples, row.classes, row.all) = (None, None, None);
        row.folders = vec![folder.0.display().to_string()];
        row.files.iter_mut().for_each(|file| (file.bytes, file.sha256, file.md5) = (None, None, None));
        load_from(&folder.0, &row, &LoadOptions::default()).expect_err("it must fail").to_string()
    };
    let places = |categories: &str, list: &str| {
        let folder = TestFolder::new("hostile-places");
        put(&folder, "val_256/a.jpg", &gif(1));
        put(&folder, "categories_places365.txt", categories.as_bytes());
        put(&folder, "places365_val.txt", list.as_bytes());
        load(&folder, "places365")
    };
    for (categories, list, expected) in [
        (
            "/a/x 0\n/a/y 1\n",
            "../../../../etc/passwd 0\n",
            "val_256/../../../../etc/passwd: its path leads out of the dataset's folder",
        ),
        ("/a/x 0\n/a/y 1\n", "a.jpg 0\na.jpg 2\n", "places365_val.txt:2: its class is not in categories_places365.txt"),
        ("/a/x 0\n/a/y 1\n", "a.jpg\n", "places365_val.txt:1: \"a.jpg\" should be two words"),
        ("/a/x 0\n/a/x 1\n", "a.jpg 0\n", "categories_places365.txt:2: there are two classes \"/a/x\""),
        ("/a/x 0\n/a/y 0\n", "a.jpg 0\n", "categories_places365.txt:2: \"0\" is no number of its own"),
        ("/a/x 0\n/a/y 7\n", "a.jpg 0\n", "categories_places365.txt:2: \"7\" is no number"),
        ("/a/x 0\n/a/y 1\n", "", "places365: there are no images in the partition `val`"),
        ("/a/x 0\n", "a.jpg 0\nb.jpg 0\n", "1 of 2 images are bad"),
    ] {
        let message = places(categories, list);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    // CelebA's three lists must have a line for each image.
    let folder = TestFolder::new("hostile-celeba");
    put(&folder, "img_align_celeba/1.jpg", &gif(1));
    put(&folder, "list_eval_partition.txt", b"1.jpg 2\n2.jpg 2\n");
    put(&folder, "identity_CelebA.txt", b"1.jpg 5\n");
    put(&folder, "list_attr_celeba.txt", b"2\nBald Male\n1.jpg -1 1\n2.jpg 1 1\n");
    let message = load(&folder, "celeba");
    assert!(message.contains("identity_CelebA.txt: it has 1 images, but ") && message.ends_with("has 2"), "{message}");
    put(&folder, "identity_CelebA.txt", b"1.jpg 5\n2.jpg 5\n");
    put(&folder, "list_attr_celeba.txt", b"2\nBald Male\n1.jpg -1 1\n2.jpg 1 7\n");
    let message = load(&folder, "celeba");
    assert!(message.contains("list_attr_celeba.txt:4: it should be 2.jpg and 2 times -1 or 1"), "{message}");
    // UTKFace: a name without its labels.
    let folder = TestFolder::new("hostile-utkface");
    put(&folder, "UTKFace/young_1_2_20170116174525125.jpg.chip.jpg", &gif(1));
    let message = load(&folder, "utkface");
    assert!(message.contains("should be AGE_GENDER_RACE_TIME"), "{message}");
}

#[test]
fn a_partition_of_another_size_is_not_loaded() {
    let folder = TestFolder::new("hostile-count");
    put(&folder, "a/1.gif", &gif(1));
    let text = format!(
        "[[dataset]]\nname = 'own'\nlayout = 'imagefolder'\nsamples = 2\nfolders = ['{}']\n",
        folder.0.display()
    );
    let row = registry::parse(&text).expect("a row").remove(0);
    let message = load_from(&folder.0, &row, &LoadOptions::default()).expect_err("one").to_string();
    assert!(message.contains("its partition `test` has 1 images instead of 2"), "{message}");
}

/// A pipe that nobody writes to would be waited for without end.
#[test]
fn what_is_no_plain_file_is_a_bad_image() {
    let folder = TestFolder::new("hostile-pipe");
    put(&folder, "a/1.gif", &gif(1));
    let pipe = folder.0.join("a/2.gif");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let message = super::folder(&folder.0).expect_err("1 of 2").to_string();
    assert!(message.contains("2.gif: it is no plain file"), "{message}");
}

#[test]
fn a_folder_is_read_as_torchvision_does_it() {
    let folder = TestFolder::new("image-folder");
    for (name, grey) in
        [("b/2.gif", 3), ("b/1.GIF", 2), ("a/deep/er/x.gif", 1), ("b/notes.txt", 9), ("top.gif", 9), ("b/._1.gif", 9)]
    {
        put(&folder, name, &gif(grey));
    }
    std::fs::create_dir(folder.0.join("empty")).expect("made");
    let dataset = super::folder(&folder.0).expect("loaded");
    assert_eq!((dataset.classes(), dataset.labels()), (&["a".to_owned(), "b".to_owned()][..], &[0, 1, 1][..]));
    let greys: Vec<u8> = (0..3).map(|index| dataset.image(index).expect("decoded").pixels[0]).collect();
    assert_eq!((greys, dataset.shape()), (vec![1, 2, 3], None));
    assert!(format!("{dataset:?}").ends_with("3 image files, 2 classes }"));
    let second = dataset.take(2).checksum().to_owned();
    put(&folder, "b/1.GIF", &gif(7));
    let error = dataset.image(1).expect_err("another file").to_string();
    assert!(error.ends_with("b/1.GIF: the file has changed since the dataset was loaded; load it again"), "{error}");
    assert_ne!(super::folder(&folder.0).expect("loaded").take(2).checksum(), second);
}

#[test]
fn files_alone_are_one_class_and_bad_ones_are_named() {
    let folder = TestFolder::new("image-folder-flat");
    let message = super::folder(&folder.0).expect_err("empty").to_string();
    assert!(message.contains("there are no image files in this folder (.jpg, "), "{message}");
    put(&folder, "1.gif", &gif(1));
    assert_eq!(super::folder(&folder.0).expect("loaded").classes().len(), 1);
    put(&folder, "2.png", b"no picture at all");
    let message = super::folder(&folder.0).expect_err("half of them").to_string();
    assert!(message.contains("1 of 2 images are bad") && message.contains("2.png: it is not a JPEG"), "{message}");
    let message = super::folder(folder.0.join("nothing")).expect_err("no folder").to_string();
    assert!(message.contains("nothing: "), "{message}");
}

/// A row of one's own, of a folder.
fn own(folder: &TestFolder, more: &str) -> Row {
    let text = format!("[[dataset]]\nname = 'own'\nfolders = ['{}']\n{more}", folder.0.display());
    registry::parse(&text).expect("a row").remove(0)
}

fn load_own(folder: &TestFolder, more: &str, partition: Partition) -> Result<Dataset, String> {
    let options = LoadOptions { partition, ..LoadOptions::default() };
    load_from(&folder.0, &own(folder, more), &options).map_err(|error| error.to_string())
}

#[test]
fn a_class_that_one_partition_lacks_does_not_change_the_numbers() {
    let folder = TestFolder::new("hostile-classes");
    for name in ["test/b/1.gif", "test/c/1.gif", "train/a/1.gif", "train/b/1.gif", "train/c/1.gif", "train/d/1.gif"] {
        put(&folder, name, &gif(1));
    }
    let more = "layout = 'imagefolder'\nimages = 'test'\ntrain = 'train'\n";
    let test = load_own(&folder, more, Partition::Evaluated).expect("loaded");
    let train = test.train().expect("loaded");
    let alone = load_own(&folder, more, Partition::Train).expect("loaded");
    assert_eq!((test.classes(), test.labels()), (&["b".to_owned(), "c".to_owned()][..], &[0, 1][..]));
    assert_eq!((train.classes().join(" "), train.labels()), ("b c a d".to_owned(), &[2, 0, 1, 3][..]));
    assert_eq!((alone.classes(), alone.labels()), (train.classes(), train.labels()));
    let message =
        load_own(&folder, &format!("{more}classes = 3\n"), Partition::Evaluated).expect_err("a class is gone");
    assert!(message.contains("its partition `test` has 2 classes instead of 3"), "{message}");
}

/// An archive that is kept beside what it was unpacked to is not opened, nor is one that only another partition needs.
#[test]
fn archives_are_opened_only_where_they_are_needed() {
    let folder = TestFolder::new("hostile-kept");
    put(&folder, "inner/images/a/1.gif", &gif(1));
    put(&folder, "garbage.tar.gz", b"<html>");
    let files = "[[dataset.file]]\nname = 'garbage.tar.gz'\nunpacked = '.'\n";
    let more = format!("layout = 'imagefolder'\nimages = ['images', 'inner/images']\n{files}");
    assert_eq!(load_own(&folder, &more, Partition::Evaluated).expect("unpacked").len(), 1);
    let more = format!("layout = 'imagefolder'\nimages = 'inner/elsewhere'\n{files}");
    let message = load_own(&folder, &more, Partition::Evaluated).expect_err("nowhere else");
    assert!(message.contains("garbage.tar.gz: it is neither a tar"), "{message}");
    let message = load_own(&folder, &format!("{more}train = true\n"), Partition::Evaluated).expect_err("not there");
    assert!(message.contains("inner/elsewhere: there is no such file or folder"), "{message}");
}

/// With one image less a seeded split would be another, though of the same size.
#[test]
fn a_split_of_another_number_of_images_is_not_taken() {
    let folder = TestFolder::new("hostile-split");
    for class in ["a", "b"] {
        (0..7).for_each(|image| drop(put(&folder, &format!("EuroSAT_RGB/{class}/{image}.gif"), &gif(image))));
    }
    let more = "layout = 'eurosat'\nimages = 'EuroSAT_RGB'\nlevels = ['land-cover']\nall = 15\n";
    let message = load_own(&folder, more, Partition::Evaluated).expect_err("14 images");
    assert!(message.contains("its partition `test` is drawn from 14 images instead of 15"), "{message}");
}

#[test]
fn tables_that_mean_harm_end_in_an_error() {
    let folder = TestFolder::new("hostile-tables");
    put(&folder, "a/1.gif", &gif(1));
    let more = "layout = 'table'\ntable = 't.csv'\nimage-column = 'path'\nlevels = ['kind']\n";
    for (text, expected) in [
        ("path,kind\n../../etc/passwd,x\n", "its path leads out of the dataset's folder"),
        ("path,kind\n/etc/passwd,x\n", "its path leads out of the dataset's folder"),
        ("path,sort\na/1.gif,x\n", "t.csv: "),
        ("path,kind\n", "there are no images in the partition `test`"),
        ("path,kind\na/1.gif,\n", "row 1: the column `kind` is empty"),
        ("path,kind\na/2.gif,x\n", "1 of 1 images are bad"),
    ] {
        put(&folder, "t.csv", text.as_bytes());
        let message = load_own(&folder, more, Partition::Evaluated).expect_err(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
    put(&folder, "t.csv", b"path,kind\na/1.gif,10\na/1.gif,9\n");
    let dataset = load_own(&folder, more, Partition::Evaluated).expect("good");
    assert_eq!((dataset.classes().join(" "), dataset.labels()), ("9 10".to_owned(), &[1, 0][..]));
    // A pipe that nobody writes to would be waited for without end.
    std::fs::remove_file(folder.0.join("t.csv")).expect("removed");
    assert!(std::process::Command::new("mkfifo").arg(folder.0.join("t.csv")).status().expect("mkfifo").success());
    let message = load_own(&folder, more, Partition::Evaluated).expect_err("a pipe");
    assert!(message.contains("t.csv: ") && message.contains("cannot be read"), "{message}");
}

/// A long name in a tar, and an entry of a zip that unpacks to more than is read, cost nothing.
#[test]
fn claims_of_archives_are_checked_before_memory_is_taken() {
    let folder = TestFolder::new("hostile-claims");
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(64 << 20);
    header.set_cksum();
    let path = put(&folder, "name.tar", header.as_bytes());
    std::fs::OpenOptions::new().append(true).open(&path).and_then(|file| file.set_len(65 << 20)).expect("sparse");
    let message = opened(&path).expect_err("a name of 64 MiB");
    assert!(message.contains("what it says of a file has 67108864 bytes"), "{message}");
    let mut bytes = zip(&[("a/1.gif", &[0; 4096])]);
    let table = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").expect("a table");
    // Both say now that it has almost 4 GiB.
    bytes[table + 24..table + 28].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    bytes[22..26].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    put(&folder, "own.zip", &bytes);
    let more = "layout = 'imagefolder'\n[[dataset.file]]\nname = 'own.zip'\nunpacked = '.'\n";
    let message = load_own(&folder, more, Partition::Evaluated).expect_err("too large");
    assert!(message.contains("it has 4294967280 bytes, and only 1073741824 are read from an archive"), "{message}");
}

#[test]
fn every_layout_says_what_it_lacks() {
    let folder = TestFolder::new("hostile-empty");
    for row in registry::built_in() {
        let row = Row { folders: vec![folder.0.display().to_string()], marker: Vec::new(), ..row };
        if row.layout != Layout::Variant {
            let message = load_from(&folder.0, &row, &LoadOptions::default()).expect_err(&row.name).to_string();
            assert!(
                message.contains("there is no such file or folder") || message.contains("no image files"),
                "{message}"
            );
        }
    }
}
