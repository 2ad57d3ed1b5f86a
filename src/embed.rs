//! A dataset through an encoder: one vector an image, remembered by content.
//!
//! The same images, encoder, preprocessing, weights, precision and kind of device are never embedded twice: vectors are kept
//! in shards of 128 images, each under a key of exactly these things. A killed run loses at most one shard, a longer sample
//! begins with the shards of a shorter one, and of two processes at once each shard is computed by one. Raw pixels are not
//! kept: to make them is as fast as to read them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rayon::prelude::*;
use tch::{Cuda, Device, Kind, TchError, Tensor};

use crate::cache::{Cache, CacheError, Entry};
use crate::channel::DEVICE;
use crate::datasets::{Dataset, DatasetError};
use crate::encoders::{Encoder, EncoderError, Network};
use crate::linalg::Metric;
use crate::points::{Points, PointsError};
use crate::preprocess::Preprocessing;
use crate::progress::{self, Cancelled, Progress};

/// Images whose vectors are kept in one entry of the cache.
const SHARD: usize = 128;

/// What can go wrong while embedding.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The encoder cannot be built.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// An image cannot be had.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// libtorch refuses, for example for lack of memory.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
    /// The computation was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// Images of a shape that the encoder does not take.
    #[error("{encoder}: images of {height} x {width} numbers: it takes {expected}")]
    Shape {
        /// The encoder.
        encoder: String,
        /// The height of the images.
        height: usize,
        /// Their width.
        width: usize,
        /// What it takes.
        expected: String,
    },
    /// The vectors are no points.
    #[error("{encoder}: {source}")]
    Points {
        /// The encoder.
        encoder: String,
        /// What is wrong with them.
        source: PointsError,
    },
    /// No images.
    #[error("{name}: there are no images to embed")]
    Empty {
        /// The dataset.
        name: String,
    },
    /// A batch of nothing.
    #[error("batch_size = 0: a batch needs at least one image")]
    BatchSize,
    /// There is no such device.
    #[error("{from} = {value}: {reason}")]
    Device {
        /// Where it was asked for.
        from: &'static str,
        /// The device asked for.
        value: String,
        /// Why it cannot be had.
        reason: String,
    },
}

/// How [`embed_with`] computes. Nothing here but `precision` changes what comes out, beyond rounding.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedOptions {
    /// Where the network runs. `None`: what the variable `REPORT_DEVICE` says (`auto`, `cpu`, `cuda:N`), and without it or
    /// with `auto` the first GPU if there is one, else the processor.
    pub device: Option<Device>,
    /// Images that are taken together: 64. A GPU takes them at once, a processor a few at a time.
    pub batch_size: usize,
    /// Numbers inside the network: [`Precision::Float32`].
    pub precision: Precision,
}

impl Default for EmbedOptions {
    fn default() -> EmbedOptions {
        EmbedOptions { device: None, batch_size: 64, precision: Precision::Float32 }
    }
}

/// The numbers that a network computes with; vectors are always given in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// IEEE 754 binary32, as the paper. On NVIDIA GPUs from Ampere on, convolutions round what they multiply to ten bits
    /// (TF32), as PyTorch has it by default: on an H200, vectors of ResNet-50 were off by 5e-4 of the largest value. With
    /// `NVIDIA_TF32_OVERRIDE=0` in the environment they do not.
    Float32,
    /// Eight bits of precision, the range of 32 bits; faster on GPUs.
    BFloat16,
    /// [`BFloat16`](Precision::BFloat16) where the device computes with it and the vectors of the first images are off by
    /// no more than 2 % of their lengths, else [`Float32`](Precision::Float32): see [`settle`].
    Auto,
}

/// What vectors may be off by, as a share of their lengths, for [`Precision::Auto`] to take 16 bits.
const TOLERANCE: f64 = 0.02;
/// Images that this is measured on.
const MEASURED: usize = 8;

/// One vector an image, in the order of the images, with [`EmbedOptions::default`].
///
/// ResNet-50 takes about 8 billion operations an image, ViT-B/16 about 35 billion; what was computed before is read.
///
/// # Errors
/// No images; weights that do not fit; a device that is not there; vectors that are not finite; a cache that cannot be
/// written.
pub fn embed(dataset: &Dataset, encoder: &Encoder) -> Result<Points, EmbedError> {
    embed_with(dataset, encoder, &EmbedOptions::default())
}

/// [`embed`] with options.
///
/// # Errors
/// As [`embed`]; `batch_size` 0.
pub fn embed_with(dataset: &Dataset, encoder: &Encoder, options: &EmbedOptions) -> Result<Points, EmbedError> {
    if encoder.is_raw() {
        return raw(dataset, encoder);
    }
    embed_in(&Cache::of_environment()?, SHARD, dataset, encoder, options)
}

/// The options with a device, and with [`Precision::Auto`] decided for these images; and by how much vectors in 16 bits
/// are off, as a share of their lengths, if that was measured. It is measured once and kept with the embeddings.
///
/// # Errors
/// As [`embed`].
pub fn settle(
    dataset: &Dataset,
    encoder: &Encoder,
    options: &EmbedOptions,
) -> Result<(EmbedOptions, Option<f64>), EmbedError> {
    settle_in(Cache::of_environment, dataset, encoder, options)
}

/// The cache is asked for only where something is measured.
fn settle_in(
    cache: impl FnOnce() -> Result<Cache, CacheError>,
    dataset: &Dataset,
    encoder: &Encoder,
    options: &EmbedOptions,
) -> Result<(EmbedOptions, Option<f64>), EmbedError> {
    let device = device(options)?;
    let mut settled = EmbedOptions { device: Some(device), ..options.clone() };
    if options.precision != Precision::Auto {
        return Ok((settled, None));
    }
    settled.precision = Precision::Float32;
    if !has_bfloat16(device) || encoder.is_raw() || dataset.is_empty() {
        return Ok((settled, None));
    }
    let first: Vec<usize> = (0..dataset.len().min(MEASURED)).collect();
    let key = keys(dataset, encoder, &EmbedOptions { precision: Precision::BFloat16, ..settled.clone() }, &[&first])?;
    let error = match cache()?.entry("precision", &key[0])? {
        Entry::Hit(bytes) => <[u8; 8]>::try_from(&*bytes).map_or(f64::INFINITY, f64::from_le_bytes),
        Entry::Miss(slot) => {
            let preprocessing = encoder.preprocessing(dataset.shape());
            let images = to_tensor(&preprocess(dataset, preprocessing, &first)?, preprocessing.size, device)?;
            let vectors = |precision: Precision| {
                let network = encoder.build(device, precision.kind())?;
                Ok::<_, EmbedError>(forward(&network, &images, device, precision.kind())?)
            };
            let error = largest_error(&vectors(Precision::BFloat16)?, &vectors(Precision::Float32)?, first.len());
            slot.store(&error.to_le_bytes())?;
            error
        }
    };
    if error <= TOLERANCE {
        settled.precision = Precision::BFloat16;
    }
    Ok((settled, Some(error)))
}

/// The largest distance of one of so many vectors from the exact one, as a share of the length of the latter.
fn largest_error(vectors: &[f32], exact: &[f32], count: usize) -> f64 {
    let columns = exact.len() / count;
    let rows = vectors.chunks_exact(columns).zip(exact.chunks_exact(columns));
    let error = |(row, exact): (&[f32], &[f32])| {
        let distance = Metric::Euclidean.distance(row, exact);
        let length = Metric::Euclidean.distance(exact, &vec![0.0; columns]);
        if distance == 0.0 { 0.0 } else { distance / length }
    };
    // What is no number is no small error.
    rows.map(error).fold(0.0, |largest: f64, error| if largest.is_nan() || error <= largest { largest } else { error })
}

/// Whether the device computes with [`Precision::BFloat16`] itself: every GPU of the last years, few processors.
fn has_bfloat16(device: Device) -> bool {
    if device.is_cuda() {
        return true;
    }
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// One vector an image, for n × 3 × height × width numbers that were preprocessed elsewhere, as the encoder takes them.
/// Nothing is kept.
///
/// # Errors
/// As [`embed_with`]; images of another size than the encoder's.
///
/// # Panics
/// `values` are not as many as the shape says.
pub fn embed_tensors(
    values: &[f32],
    shape: [usize; 4],
    encoder: &Encoder,
    options: &EmbedOptions,
) -> Result<Points, EmbedError> {
    let [images, channels, height, width] = shape;
    assert_eq!(values.len(), images * channels * height * width, "as many numbers as the shape says");
    let size = encoder.preprocessing(Some([height, width, channels])).size;
    if (channels, height, width) != (3, size, size) {
        let (encoder, expected) = (encoder.name().to_owned(), format!("3 x {size} x {size}"));
        return Err(EmbedError::Shape { encoder, height, width, expected });
    }
    if options.batch_size == 0 {
        return Err(EmbedError::BatchSize);
    }
    if images == 0 {
        return Err(EmbedError::Empty { name: "the array".to_owned() });
    }
    let device = device(options)?;
    let network = encoder.build(device, options.precision.kind())?;
    let mut progress = Progress::new(format!("embed {}", encoder.name()), images as u64, "images");
    let mut vectors = Vec::with_capacity(images * encoder.columns(Some([height, width, channels])));
    let image = 3 * size * size;
    let mut most = at_once(options.batch_size, device);
    for batch in values.chunks(options.batch_size * image) {
        progress::check()?;
        let batch = to_tensor(batch, size, device)?;
        let forward = |images: &Tensor| forward(&network, images, device, options.precision.kind());
        vectors.extend(in_parts(&batch, &mut most, forward)?);
        progress.advance(batch.size()[0] as u64);
    }
    Points::new(images, vectors.len() / images, vectors)
        .map_err(|source| EmbedError::Points { encoder: encoder.name().to_owned(), source })
}

/// Preprocessed pixels, without network, device and cache.
fn raw(dataset: &Dataset, encoder: &Encoder) -> Result<Points, EmbedError> {
    let all: Vec<usize> = (0..dataset.len()).collect();
    let mut values = Vec::new();
    let mut progress = Progress::if_long(format!("embed {} raw pixels", dataset.name()), all.len() as u64, "images");
    for some in all.chunks(SHARD) {
        progress::check()?;
        values.extend(preprocess(dataset, encoder.preprocessing(dataset.shape()), some)?);
        progress.advance(some.len() as u64);
    }
    points(dataset, encoder, values)
}

fn embed_in(
    cache: &Cache,
    shard: usize,
    dataset: &Dataset,
    encoder: &Encoder,
    options: &EmbedOptions,
) -> Result<Points, EmbedError> {
    if options.batch_size == 0 {
        return Err(EmbedError::BatchSize);
    }
    let (options, _) = &settle_in(|| Ok(cache.clone()), dataset, encoder, options)?;
    let device = device(options)?;
    crate::cell::device(&device_name(device));
    if let Some(seed) = encoder.seed() {
        crate::cell::seed(&format!("weights of {}", encoder.name()), seed);
    }
    let all: Vec<usize> = (0..dataset.len()).collect();
    let shards: Vec<&[usize]> = all.chunks(shard).collect();
    let keys = keys(dataset, encoder, options, &shards)?;
    let mut found = Vec::with_capacity(shards.len());
    for key in &keys {
        found.push(cache.get("embeddings", key)?.map(|bytes| numbers(&bytes)));
    }
    let missing: Vec<usize> = (0..shards.len()).filter(|&index| found[index].is_none()).collect();
    if !missing.is_empty() {
        let mut progress =
            Progress::new(format!("embed {} {}", dataset.name(), encoder.name()), all.len() as u64, "images");
        let missed: usize = missing.iter().map(|&index| shards[index].len()).sum();
        progress.skip((all.len() - missed) as u64);
        let work = Work { dataset, encoder, options, device, shards: &shards, keys: &keys };
        for (index, values) in missing.iter().zip(work.compute(cache, &missing, &mut progress)?) {
            found[*index] = Some(values);
        }
    }
    points(dataset, encoder, found.into_iter().flatten().flatten().collect())
}

/// What stays the same for all shards.
struct Work<'a> {
    dataset: &'a Dataset,
    encoder: &'a Encoder,
    options: &'a EmbedOptions,
    device: Device,
    shards: &'a [&'a [usize]],
    keys: &'a [String],
}

impl Work<'_> {
    /// The vectors of the `missing` shards. While a batch is in the network, the next ones are preprocessed.
    fn compute(&self, cache: &Cache, missing: &[usize], progress: &mut Progress) -> Result<Vec<Vec<f32>>, EmbedError> {
        let network = self.encoder.build(self.device, self.options.precision.kind())?;
        std::thread::scope(|scope| {
            // In here, so that an early return drops the receiver, which ends the other thread.
            let (sender, batches) = sync_channel(2);
            scope.spawn(move || self.send_batches(missing, &sender));
            let mut results = Vec::with_capacity(missing.len());
            let mut most = at_once(self.options.batch_size, self.device);
            for &index in missing {
                // Another process may have been faster.
                let (values, slot) = match cache.entry("embeddings", &self.keys[index])? {
                    Entry::Hit(bytes) => (Some(numbers(&bytes)), None),
                    Entry::Miss(slot) => (None, Some(slot)),
                };
                let computed = self.shard(&network, index, &batches, values.is_some(), &mut most, progress)?;
                if let Some(slot) = slot {
                    let bytes: Vec<u8> = computed.iter().flat_map(|value| value.to_le_bytes()).collect();
                    slot.store(&bytes)?;
                }
                results.push(values.unwrap_or(computed));
            }
            Ok(results)
        })
    }

    /// Ends early when nobody takes the batches any more.
    fn send_batches(&self, missing: &[usize], sender: &SyncSender<Result<Tensor, EmbedError>>) {
        let preprocessing = self.preprocessing();
        for &index in missing {
            for batch in self.shards[index].chunks(self.together()) {
                let values = preprocess(self.dataset, preprocessing, batch);
                let images = values.and_then(|values| Ok(to_tensor(&values, preprocessing.size, self.device)?));
                if sender.send(images).is_err() {
                    return;
                }
            }
        }
    }

    /// Takes the batches of one shard, and has them through the network unless the result is `known`, in parts of at most
    /// `most` images.
    fn shard(
        &self,
        network: &Network,
        index: usize,
        batches: &Receiver<Result<Tensor, EmbedError>>,
        known: bool,
        most: &mut usize,
        progress: &mut Progress,
    ) -> Result<Vec<f32>, EmbedError> {
        let mut values = Vec::new();
        for batch in self.shards[index].chunks(self.together()) {
            let images = batches.recv().expect("the other thread sends a batch for each that is taken")?;
            progress::check()?;
            if !known {
                let kind = self.options.precision.kind();
                let vectors = in_parts(&images, most, |images| forward(network, images, self.device, kind))?;
                let columns = vectors.len() / batch.len();
                // Checked here, so that nothing wrong is kept.
                let vectors = Points::new(batch.len(), columns, vectors).map_err(|source| self.wrong(source))?;
                values.extend_from_slice(vectors.as_slice());
            }
            progress.advance(batch.len() as u64);
        }
        Ok(values)
    }

    fn preprocessing(&self) -> Preprocessing {
        self.encoder.preprocessing(self.dataset.shape())
    }

    /// How many images are preprocessed together. A processor is disturbed in its forward pass as seldom as possible.
    fn together(&self) -> usize {
        let batch_size = self.options.batch_size;
        if self.device.is_cuda() { batch_size } else { batch_size.max(16) }
    }

    fn wrong(&self, source: PointsError) -> EmbedError {
        EmbedError::Points { encoder: self.encoder.name().to_owned(), source }
    }
}

impl Precision {
    fn kind(self) -> Kind {
        match self {
            Precision::BFloat16 => Kind::BFloat16,
            // Where nobody has decided.
            Precision::Float32 | Precision::Auto => Kind::Float,
        }
    }
}

/// Images of 3 × `size` × `size` numbers each as one tensor, for a GPU in memory that it can copy from by itself.
fn to_tensor(values: &[f32], size: usize, device: Device) -> Result<Tensor, TchError> {
    let images = Tensor::f_from_slice(values)?.f_reshape([-1, 3, size as i64, size as i64])?;
    // Without the underscore, libtorch warns of an argument that tch cannot leave out.
    if device.is_cuda() { images.f_internal_pin_memory(device) } else { Ok(images) }
}

/// How many images go through a network at once. On a processor, what a few images leave between two layers stays in its
/// caches: four at once were the fastest on two cores, and take a third of the memory of 32.
fn at_once(batch_size: usize, device: Device) -> usize {
    if device.is_cuda() { batch_size } else { batch_size.min((rayon::current_num_threads() / 2).max(4)) }
}

/// A batch of images, in parts of at most `most` images; where the device has not enough memory for that, half as many from
/// then on.
fn in_parts(
    images: &Tensor,
    most: &mut usize,
    forward: impl Fn(&Tensor) -> Result<Vec<f32>, TchError>,
) -> Result<Vec<f32>, TchError> {
    let mut vectors = Vec::new();
    let (count, mut done) = (images.size()[0] as usize, 0);
    while done < count {
        let part = (count - done).min(*most);
        match forward(&images.f_narrow(0, done as i64, part as i64)?) {
            Ok(found) => {
                vectors.extend(found);
                done += part;
            }
            Err(error) if part > 1 && is_for_memory(&error) => {
                *most = part / 2;
                eprintln!("warning: the device has not enough memory for {part} images at once; trying {most}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(vectors)
}

/// Whether libtorch failed for lack of memory, on a GPU or the processor.
fn is_for_memory(error: &TchError) -> bool {
    let message = error.to_string();
    message.contains("out of memory") || message.contains("can't allocate memory")
}

/// A batch of images through a network: their vectors, one after the other.
fn forward(network: &Network, images: &Tensor, device: Device, kind: Kind) -> Result<Vec<f32>, TchError> {
    let images = images.f_to_device_(device, Kind::Float, true, false)?.f_to_kind(kind)?;
    let vectors = tch::no_grad(|| network.forward(&images))?;
    let vectors = vectors.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0.0; vectors.numel()];
    vectors.f_copy_data(&mut values, vectors.numel())?;
    Ok(values)
}

/// For each shard a text with everything that its vectors depend on.
fn keys(
    dataset: &Dataset,
    encoder: &Encoder,
    options: &EmbedOptions,
    shards: &[&[usize]],
) -> Result<Vec<String>, EmbedError> {
    let images = match dataset.shape() {
        Some([height, width, channels]) => format!("of {height} x {width} x {channels}"),
        None => "from files".to_owned(),
    };
    let common = format!(
        "report {} embedding 1\nencoder {}\npreprocessing {}\nprecision {:?}\ndevice {}\n",
        env!("CARGO_PKG_VERSION"),
        encoder.identity()?,
        encoder.preprocessing(dataset.shape()).describe(),
        options.precision,
        if device(options)?.is_cuda() { "cuda" } else { "cpu" },
    );
    let key = |shard: &&[usize]| {
        let mut hasher = blake3::Hasher::new();
        for &index in *shard {
            hasher.update(dataset.content(index));
        }
        let sum = hasher.finalize().to_hex();
        format!("{common}images {} {images} blake3 {sum}\n", shard.len())
    };
    Ok(shards.iter().map(key).collect())
}

/// The images as the network takes them, one after the other; in parallel.
fn preprocess(dataset: &Dataset, preprocessing: Preprocessing, images: &[usize]) -> Result<Vec<f32>, EmbedError> {
    let one = |&index: &usize| Ok(preprocessing.apply(&dataset.image(index)?));
    Ok(images.par_iter().map(one).collect::<Result<Vec<_>, DatasetError>>()?.concat())
}

fn points(dataset: &Dataset, encoder: &Encoder, values: Vec<f32>) -> Result<Points, EmbedError> {
    if dataset.is_empty() {
        return Err(EmbedError::Empty { name: dataset.name().to_owned() });
    }
    let columns = encoder.columns(dataset.shape());
    Points::new(dataset.len(), columns, values)
        .map_err(|source| EmbedError::Points { encoder: encoder.name().to_owned(), source })
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
}

fn device(options: &EmbedOptions) -> Result<Device, EmbedError> {
    match options.device {
        Some(device) => Ok(device),
        None => named_device(DEVICE, &std::env::var(DEVICE).unwrap_or_default()),
    }
}

/// The device that a value of `auto`, `cpu` or `cuda:N` means here; `from` is where it was given.
pub(crate) fn named_device(from: &'static str, value: &str) -> Result<Device, EmbedError> {
    device_among(from, value, Cuda::device_count().max(0) as usize)
}

/// The device that a value means on a machine with this many GPUs.
fn device_among(from: &'static str, value: &str, gpus: usize) -> Result<Device, EmbedError> {
    let wrong = |reason: String| Err(EmbedError::Device { from, value: value.to_owned(), reason });
    match value {
        "" | "auto" if gpus > 0 => Ok(Device::Cuda(0)),
        "" | "auto" | "cpu" => Ok(Device::Cpu),
        _ => match value.strip_prefix("cuda:").and_then(|number| number.parse().ok()) {
            Some(number) if number < gpus => Ok(Device::Cuda(number)),
            Some(_) => wrong(format!("this machine and this libtorch have {gpus} GPUs")),
            None => wrong("expected auto, cpu or cuda:N".to_owned()),
        },
    }
}

fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        Device::Cpu => "cpu".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests;
