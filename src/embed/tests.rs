use std::collections::BTreeSet;

use super::*;
use crate::encoders::{self, Weights};
use crate::fs::TestFolder;

#[test]
fn raw_pixels_are_the_normalised_pixels() {
    let points = embed(&pictures(3), &encoders::raw_pixels()).expect("embedded");
    assert_eq!((points.rows(), points.columns()), (3, 2352));
    let dataset = pictures(3);
    for (index, channel, mean, deviation) in [(0, 0, 0.485, 0.229), (500, 1, 0.456, 0.224), (783, 2, 0.406, 0.225)] {
        let expected = (f32::from(dataset.content(1)[index]) / 255.0 - mean) / deviation;
        assert_eq!(points.row(1)[channel * 784 + index], expected);
    }
    let message = embed(&pictures(0), &encoders::raw_pixels()).expect_err("nothing").to_string();
    assert_eq!(message, "pictures: there are no images to embed");
}

#[test]
fn nothing_is_embedded_twice() {
    let folder = TestFolder::new("embed");
    let cache = Cache::new(&folder.0);
    let encoder = encoders::resnet50(Weights::Random { seed: 1 });
    let options = EmbedOptions { device: Some(Device::Cpu), batch_size: 2, ..EmbedOptions::default() };
    let run = |dataset: &Dataset| embed_in(&cache, 3, dataset, &encoder, &options).expect("embedded");

    let five = run(&pictures(5));
    assert_eq!((five.rows(), five.columns()), (5, 2048));
    assert!(five.row(0) != five.row(4), "images differ");
    let kept = entries(&folder);
    assert_eq!(kept.len(), 2, "shards of three and two");
    assert!(run(&pictures(5)) == five);
    assert_eq!(entries(&folder), kept, "the second run writes nothing");

    assert!(run(&pictures(3)).as_slice() == &five.as_slice()[..3 * 2048], "the first shard serves a shorter sample");
    assert_eq!(entries(&folder), kept);

    // A killed run leaves some shards; a flipped bit is as good as a missing shard.
    let mut bytes = std::fs::read(&kept[0].0).expect("kept");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&kept[0].0, bytes).expect("a file");
    assert!(run(&pictures(5)) == five);
    let again = entries(&folder);
    assert_eq!(again[1], kept[1], "the whole shard is not computed again");
    assert_ne!(again[0].1, kept[0].1, "the damaged one is");

    let other = encoders::resnet50(Weights::Random { seed: 2 });
    assert!(embed_in(&cache, 3, &pictures(1), &other, &options).expect("embedded").row(0) != five.row(0));
    assert_eq!(entries(&folder).len(), 3, "another seed has entries of its own");
}

#[test]
fn a_failure_between_two_batches_ends_at_once() {
    let folder = TestFolder::new("embed-fail");
    std::fs::create_dir_all(folder.0.join("embeddings")).expect("a folder");
    let (encoder, dataset) = (encoders::resnet50(Weights::Random { seed: 1 }), pictures(12));
    let options = EmbedOptions { device: Some(Device::Cpu), batch_size: 1, ..EmbedOptions::default() };
    let cache = Cache::new(&folder.0);
    let all: Vec<usize> = (0..dataset.len()).collect();
    let shards: Vec<&[usize]> = all.chunks(1).collect();
    let keys = keys(&dataset, &encoder, &options, &shards).expect("keys");
    let work = Work {
        dataset: &dataset,
        encoder: &encoder,
        options: &options,
        device: Device::Cpu,
        shards: &shards,
        keys: &keys,
    };
    std::fs::remove_dir(folder.0.join("embeddings")).expect("an empty folder");
    std::fs::write(folder.0.join("embeddings"), "in the way").expect("a file");
    let mut progress = Progress::new("test", 12, "images");
    let missing: Vec<usize> = (0..12).collect();
    let error = work.compute(&cache, &missing, &mut progress).expect_err("no place");
    assert!(error.to_string().contains("embeddings"), "{error}");
}

#[test]
fn everything_that_matters_is_in_the_key() {
    let all = [0, 1];
    let key = |dataset: &Dataset, encoder: &Encoder, options: &EmbedOptions| {
        keys(dataset, encoder, options, &[&all[..]]).expect("keys").remove(0)
    };
    let options = EmbedOptions { device: Some(Device::Cpu), ..EmbedOptions::default() };
    let seed = |seed| Weights::Random { seed };
    let elsewhere = EmbedOptions { device: Some(Device::Cuda(1)), ..options.clone() };
    let reference = key(&pictures(2), &encoders::resnet50(seed(1)), &options);
    let half = EmbedOptions { precision: Precision::BFloat16, ..options.clone() };
    let small = EmbedOptions { batch_size: 1, ..options.clone() };
    let other_images = Dataset::from_pixels("pictures", [2, 28, 28, 1], vec![1; 2 * 784], vec![0; 2], classes());
    let others = [
        key(&pictures(2), &encoders::resnet50(seed(2)), &options),
        key(&pictures(2), &encoders::vit_b_16(seed(1)), &options),
        key(&pictures(2), &encoders::resnet50(seed(1)), &half),
        key(&pictures(2), &encoders::resnet50(seed(1)), &elsewhere),
        key(&other_images.expect("valid"), &encoders::resnet50(seed(1)), &options),
    ];
    assert!(others.iter().all(|other| *other != reference));
    assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), others.len());
    assert_eq!(key(&pictures(3), &encoders::resnet50(seed(1)).named("x"), &small), reference);
}

#[test]
fn devices_by_name() {
    for (value, gpus, expected) in
        [("", 0, "cpu"), ("auto", 0, "cpu"), ("auto", 2, "cuda:0"), ("cpu", 2, "cpu"), ("cuda:1", 2, "cuda:1")]
    {
        assert_eq!(device_name(device_among(DEVICE, value, gpus).expect("a device")), expected, "{value} {gpus}");
    }
    for (value, expected) in [
        ("cuda:2", "REPORT_DEVICE = cuda:2: this machine and this libtorch have 2 GPUs"),
        ("gpu", "REPORT_DEVICE = gpu: expected auto, cpu or cuda:N"),
        ("cuda:-1", "REPORT_DEVICE = cuda:-1: expected auto, cpu or cuda:N"),
    ] {
        assert_eq!(device_among(DEVICE, value, 2).expect_err("no device").to_string(), expected);
    }
    let options = EmbedOptions { batch_size: 0, ..EmbedOptions::default() };
    let encoder = encoders::resnet50(Weights::Random { seed: 1 });
    let folder = TestFolder::new("embed-batch");
    let error = embed_in(&Cache::new(&folder.0), 3, &pictures(1), &encoder, &options).expect_err("no batch");
    assert!(error.to_string().starts_with("batch_size = 0"));
}

/// Path and time of change of every entry, by path; the larger shard is the longer file and comes first.
fn entries(folder: &TestFolder) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let files = std::fs::read_dir(folder.0.join("embeddings")).expect("a folder");
    let mut files: Vec<_> = files.map(|file| file.expect("an entry")).collect();
    files.sort_by_key(|file| (std::cmp::Reverse(file.metadata().expect("a file").len()), file.path()));
    files.iter().map(|file| (file.path(), file.metadata().and_then(|meta| meta.modified()).expect("a time"))).collect()
}

fn pictures(count: usize) -> Dataset {
    let pixels = (0..count * 784).map(|index| (index * index / 784 % 251) as u8).collect();
    Dataset::from_pixels("pictures", [count, 28, 28, 1], pixels, vec![0; count], classes()).expect("valid")
}

fn classes() -> Vec<String> {
    vec!["only".to_owned()]
}

#[test]
fn a_batch_that_does_not_fit_the_device_is_halved() {
    let images = Tensor::arange(10, (Kind::Float, Device::Cpu)).view([10, 1]) * 4.0;
    let memory = |images: i64| {
        move |part: &Tensor| match part.size()[0] > images {
            true => Err(TchError::Torch("CUDA out of memory. Tried to allocate 20.00 GiB".to_owned())),
            false => Vec::<f32>::try_from(part.flatten(0, -1)),
        }
    };
    let mut most = 8;
    let expected: Vec<f32> = (0..10).map(|at| (at * 4) as f32).collect();
    assert_eq!(in_parts(&images, &mut most, memory(3)).expect("in parts"), expected);
    assert_eq!(most, 2, "and it stays so");
    assert_eq!(in_parts(&images, &mut most, memory(2)).expect("in parts"), expected);
    assert!(in_parts(&images, &mut most, memory(0)).is_err(), "not even one");
    let other = |_: &Tensor| Err(TchError::Torch("another error".to_owned()));
    assert!(in_parts(&images, &mut most, other).is_err());
}

#[test]
fn sixteen_bits_are_taken_where_they_are_good_enough() {
    assert_eq!(largest_error(&[3.0, 4.0, 0.0, 1.1], &[3.0, 4.0, 0.0, 1.0], 2), f64::from(1.1_f32) - 1.0);
    assert!(largest_error(&[f32::NAN, 1.0], &[1.0, 1.0], 1).is_nan());
    assert_eq!(largest_error(&[0.0, 0.0], &[0.0, 0.0], 1), 0.0);
    let folder = TestFolder::new("embed-auto");
    let (cache, encoder) = (Cache::new(&folder.0), encoders::squeezenet1_1(Weights::Random { seed: 1 }));
    let options = |precision| EmbedOptions { device: Some(Device::Cpu), precision, ..EmbedOptions::default() };
    let settled =
        || settle_in(|| Ok(cache.clone()), &pictures(3), &encoder, &options(Precision::Auto)).expect("settled");
    let (found, error) = settled();
    if has_bfloat16(Device::Cpu) {
        let error = error.expect("measured");
        assert!(error > 1e-5 && error < 0.1, "{error}");
        assert_eq!(found.precision == Precision::BFloat16, error <= TOLERANCE);
        assert_eq!(settled(), (found.clone(), Some(error)), "kept");
    } else {
        assert_eq!((found.precision, error), (Precision::Float32, None));
    }
    let run = |precision| embed_in(&cache, 4, &pictures(3), &encoder, &options(precision)).expect("embedded");
    assert!(run(Precision::Auto) == run(found.precision));
}
