//! The loops over pairs of points on tensors: for points that are on a CUDA device already.
//!
//! libtorch computes the distances from differences, a block of rows at a time, and what is made of them stays on the
//! device until it is small. Results are of the same kind as those of [`Space`](super::Space), which stays the reference:
//! the tests compare the two.

use tch::{Kind, TchError, Tensor};

use super::dense::backend;
use super::sums::check_groupings;
use super::{Grouping, LinalgError, Metric, Neighbours};

const OPERATION: &str = "distances";
/// Distances kept at a time: 256 MB.
const DISTANCES_AT_ONCE: usize = 1 << 26;
/// libtorch's `cdist`: from differences, never from products, which lose digits.
const FROM_DIFFERENCES: i64 = 2;

/// Points on the device of a tensor, prepared for distances of one metric.
#[derive(Debug)]
pub struct TensorSpace {
    metric: Metric,
    rows: usize,
    /// rows x d, 32 bits; of length 1, around `centre`, for cosine and arccos.
    values: Tensor,
    /// 1 x d, 64 bits: the mean of the rows of length 1; nothing for other metrics.
    centre: Option<Tensor>,
}

impl TensorSpace {
    /// Prepares the points: n x d numbers of any kind on any device; they are kept there in 32 bits. O(n d).
    ///
    /// # Errors
    /// `points` is not a matrix with rows and columns, or has a number that is not finite; libtorch ran out of memory.
    pub fn new(points: &Tensor, metric: Metric) -> Result<TensorSpace, LinalgError> {
        let size = points.size();
        let failed = |message: String| LinalgError::Backend { operation: OPERATION, message };
        let &[rows, columns] = size.as_slice() else {
            return Err(failed(format!("points is a tensor of size {size:?}, a matrix is needed")));
        };
        if rows == 0 || columns == 0 {
            return Err(failed(format!("points is a matrix of size {size:?}, rows and columns are needed")));
        }
        let prepare = || {
            let values = points.f_detach()?.f_to_kind(Kind::Float)?.f_contiguous()?;
            let all_finite = bool::try_from(&values.f_isfinite()?.f_all()?)?;
            if !metric.is_of_directions() {
                return Ok((values, None, all_finite));
            }
            let directions = directions(&values)?;
            let centre = directions.f_mean_dim([0_i64].as_slice(), true, Kind::Double)?;
            Ok((directions.f_sub(&centre)?.f_to_kind(Kind::Float)?, Some(centre), all_finite))
        };
        let (values, centre, all_finite) = prepare().map_err(|error| backend(OPERATION, &error))?;
        if !all_finite {
            return Err(failed("points has a number that is not finite".to_owned()));
        }
        Ok(TensorSpace { metric, rows: rows as usize, values, centre })
    }

    /// How many points there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// As [`nearest_neighbours`](super::nearest_neighbours); of several equally far ones the last places may go to any.
    ///
    /// # Errors
    /// libtorch ran out of memory; the computation was told to stop.
    pub fn nearest_neighbours(&self, k: usize) -> Result<Neighbours, LinalgError> {
        let k = k.min(self.rows - 1);
        let mut found = Neighbours { k, indices: Vec::new(), distances: Vec::new() };
        if k == 0 {
            return Ok(found);
        }
        for (first, count) in self.blocks(self.rows) {
            crate::progress::check()?;
            let search = || {
                let distances = self.distances(first, count, &self.values)?;
                let mut own = distances.f_narrow(1, first, count)?;
                let _ = own.f_fill_diagonal_(f64::INFINITY, false)?;
                let (distances, indices) = distances.f_topk(k as i64, 1, false, true)?;
                let distances = Vec::<f32>::try_from(distances.f_flatten(0, -1)?)?;
                Ok((distances, Vec::<i64>::try_from(indices.f_flatten(0, -1)?)?))
            };
            let (distances, indices) = search().map_err(|error| backend(OPERATION, &error))?;
            for (distances, indices) in distances.chunks_exact(k).zip(indices.chunks_exact(k)) {
                let mut near: Vec<(f32, u32)> =
                    distances.iter().zip(indices).map(|(&distance, &other)| (distance, other as u32)).collect();
                near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                found.distances.extend(near.iter().map(|&(distance, _)| distance));
                found.indices.extend(near.iter().map(|&(_, other)| other));
            }
        }
        Ok(found)
    }

    /// The number of the nearest centre of each point, as [`nearest`](super::nearest): `centres` is k x d, on the same
    /// device.
    ///
    /// # Errors
    /// `centres` has another number of columns or is elsewhere; libtorch ran out of memory; the computation was told to
    /// stop.
    pub fn nearest(&self, centres: &Tensor) -> Result<Vec<u32>, LinalgError> {
        let prepare = || match &self.centre {
            Some(centre) => directions(centres)?.f_sub(centre)?.f_to_kind(Kind::Float),
            None => centres.f_to_kind(Kind::Float),
        };
        let centres = prepare().map_err(|error| backend(OPERATION, &error))?;
        let mut labels = Vec::with_capacity(self.rows);
        for (first, count) in self.blocks(centres.size().first().map_or(1, |&count| count as usize)) {
            crate::progress::check()?;
            let search = || Vec::<i64>::try_from(self.distances(first, count, &centres)?.f_argmin(1, false)?);
            labels.extend(search().map_err(|error| backend(OPERATION, &error))?.into_iter().map(|label| label as u32));
        }
        Ok(labels)
    }

    /// As [`distance_sums`](super::distance_sums), on one device; `each` is called on this thread.
    ///
    /// # Errors
    /// As [`distance_sums`](super::distance_sums); libtorch ran out of memory.
    pub fn distance_sums<R>(
        &self,
        groupings: &[Grouping],
        mut each: impl FnMut(usize, &[f64]) -> R,
    ) -> Result<Vec<R>, LinalgError> {
        check_groupings(groupings, self.rows)?;
        let sorted = groupings.iter().map(|grouping| Sorted::new(grouping, self.values.device()));
        let sorted = sorted.collect::<Result<Vec<_>, _>>().map_err(|error| backend(OPERATION, &error))?;
        let total: usize = groupings.iter().map(|grouping| grouping.count).sum();
        let mut results = Vec::with_capacity(self.rows);
        for (first, count) in self.blocks(2 * self.rows) {
            crate::progress::check()?;
            let sum = || {
                let distances = self.distances(first, count, &self.values)?;
                // The origin too is at 0 from itself.
                let _ = distances.f_narrow(1, first, count)?.f_fill_diagonal_(0.0, false)?;
                let sums = sorted.iter().map(|grouping| grouping.sums(&distances)).collect::<Result<Vec<_>, _>>()?;
                Vec::<f64>::try_from(Tensor::f_cat(&sums, 1)?.f_flatten(0, -1)?)
            };
            let sums = sum().map_err(|error| backend(OPERATION, &error))?;
            results
                .extend((0..count as usize).map(|at| each(first as usize + at, &sums[at * total..(at + 1) * total])));
        }
        Ok(results)
    }

    /// The rows a block at a time, first and count, so that the distances to so many others fit.
    fn blocks(&self, others: usize) -> impl Iterator<Item = (i64, i64)> + use<> {
        let (rows, step) = (self.rows, (DISTANCES_AT_ONCE / others.max(1)).max(1));
        (0..rows).step_by(step).map(move |first| (first as i64, step.min(rows - first) as i64))
    }

    fn distances(&self, first: i64, count: i64, others: &Tensor) -> Result<Tensor, TchError> {
        let rows = self.values.f_narrow(0, first, count)?;
        let power = match self.metric {
            Metric::Euclidean | Metric::Arccos | Metric::Cosine => 2.0,
            Metric::Cityblock => 1.0,
            Metric::Chebyshev => f64::INFINITY,
        };
        let mut distances = Tensor::f_cdist(&rows, others, power, FROM_DIFFERENCES)?;
        let (Metric::Cosine, Some(centre)) = (self.metric, &self.centre) else { return Ok(distances) };
        let mut cosine = distances.f_square_()?.f_multiply_scalar_(0.5)?.f_clamp_(0.0, 2.0)?;
        // The origin, which has no direction, is at 1 from all others.
        let origin = centre.f_neg()?.f_to_kind(Kind::Float)?;
        let [own, other] = [&rows, others].map(|points| points.f_eq_tensor(&origin)?.f_all_dim(1, true));
        let undefined = own?.f_logical_or(&other?.f_t_()?)?;
        cosine.f_masked_fill_(&undefined, 1.0)
    }
}

/// Rows of length 1; the origin stays. In 64 bits.
fn directions(values: &Tensor) -> Result<Tensor, TchError> {
    let values = values.f_to_kind(Kind::Double)?;
    let lengths = values.f_square()?.f_sum_dim_intlist([1_i64].as_slice(), true, Kind::Double)?.f_sqrt()?;
    values.f_div(&lengths.f_masked_fill(&lengths.f_eq(0.0)?, 1.0)?)
}

/// The points in the order of their groups.
struct Sorted {
    order: Tensor,
    /// Where each group starts and ends in that order.
    starts: Tensor,
    ends: Tensor,
}

impl Sorted {
    fn new(grouping: &Grouping, device: tch::Device) -> Result<Sorted, TchError> {
        let mut order: Vec<i64> = (0..grouping.group_of.len() as i64).collect();
        order.sort_by_key(|&point| grouping.group_of[point as usize]);
        let mut bounds = vec![0_i64; grouping.count + 1];
        grouping.group_of.iter().for_each(|&group| bounds[group as usize + 1] += 1);
        for group in 0..grouping.count {
            bounds[group + 1] += bounds[group];
        }
        let on_device = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_to_device(device);
        let (starts, ends) = (on_device(&bounds[..grouping.count])?, on_device(&bounds[1..])?);
        Ok(Sorted { order: on_device(&order)?, starts, ends })
    }

    /// The sums of the columns of each group, in 64 bits. Running sums, unlike sums by index, come out the same each
    /// time on CUDA.
    fn sums(&self, distances: &Tensor) -> Result<Tensor, TchError> {
        let running = distances.f_index_select(1, &self.order)?.f_cumsum(1, Kind::Double)?;
        let running = running.f_constant_pad_nd([1_i64, 0])?;
        running.f_index_select(1, &self.ends)?.f_sub(&running.f_index_select(1, &self.starts)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::{Space, distance_sums, nearest_neighbours};
    use crate::points::Points;

    const METRICS: [Metric; 5] =
        [Metric::Euclidean, Metric::Cityblock, Metric::Chebyshev, Metric::Cosine, Metric::Arccos];

    /// Every device that is there.
    fn devices() -> Vec<tch::Device> {
        let cuda = tch::Cuda::is_available().then_some(tch::Device::Cuda(0));
        [tch::Device::Cpu].into_iter().chain(cuda).collect()
    }

    fn scattered(rows: usize, columns: usize) -> Points {
        let values = (0..rows * columns).map(|at| ((at * 7919 + at / columns * 31) % 1009) as f32 / 100.0 - 4.0);
        Points::new(rows, columns, values.collect()).expect("valid")
    }

    fn tensor(points: &Points, device: tch::Device) -> Tensor {
        let size = [points.rows() as i64, points.columns() as i64];
        Tensor::from_slice(points.as_slice()).view(size).to_device(device)
    }

    #[test]
    fn equal_the_loops_of_the_cpu() {
        let points = scattered(310, 70);
        let group_of: Vec<u32> = (0..310).map(|row| (row % 7) as u32).collect();
        let halves: Vec<u32> = (0..310).map(|row| (row / 155) as u32).collect();
        let groupings = [Grouping { group_of: &group_of, count: 8 }, Grouping { group_of: &halves, count: 2 }];
        for device in devices() {
            for metric in METRICS {
                let close = |a: f64, b: f64| (a - b).abs() <= 1e-5 * b.abs().max(0.1);
                let (space, reference) = (
                    TensorSpace::new(&tensor(&points, device), metric).expect("prepared"),
                    Space::new(&points, metric).expect("prepared"),
                );
                let (found, expected) =
                    (space.nearest_neighbours(9).expect("found"), nearest_neighbours(&reference, 9).expect("found"));
                assert_eq!(found.k, 9);
                for (&found, &expected) in found.distances.iter().zip(&expected.distances) {
                    assert!(close(found.into(), expected.into()), "{metric}: {found} is not {expected}");
                }
                for row in 0..310 {
                    let distance = |other: u32| metric.distance(points.row(row), points.row(other as usize));
                    let (others, distances) = found.of(row);
                    assert!(others.iter().zip(distances).all(|(&other, &found)| close(found.into(), distance(other))));
                    assert!(!others.contains(&(row as u32)));
                }
                let all = |_: usize, sums: &[f64]| sums.to_vec();
                let (found, expected) = (
                    space.distance_sums(&groupings, all).expect("summed"),
                    distance_sums(&reference, &groupings, all).expect("summed"),
                );
                for (found, expected) in found.concat().into_iter().zip(expected.concat()) {
                    assert!(close(found, expected), "{metric}: {found} is not {expected}");
                }
                let centres = points.select(&[3, 99, 200]).expect("valid");
                let labels = space.nearest(&tensor(&centres, device)).expect("labelled");
                for (row, &label) in labels.iter().enumerate() {
                    let distance = |centre: usize| metric.distance(points.row(row), centres.row(centre));
                    assert!((0..3).all(|centre| distance(label as usize) <= distance(centre) + 1e-5), "{metric}");
                }
            }
        }
    }

    #[test]
    fn tensors_that_are_no_points_are_told() {
        let message = |tensor: Tensor| TensorSpace::new(&tensor, Metric::Euclidean).expect_err("refused").to_string();
        let flat = message(Tensor::from_slice(&[1.0_f32, 2.0]));
        assert_eq!(flat, "distances failed: points is a tensor of size [2], a matrix is needed");
        let bad = message(Tensor::from_slice(&[1.0_f32, f32::NAN]).view([1, 2]));
        assert_eq!(bad, "distances failed: points has a number that is not finite");
        let space = TensorSpace::new(&Tensor::from_slice(&[1.0_f32, 2.0]).view([1, 2]), Metric::Euclidean);
        let space = space.expect("prepared");
        assert_eq!(space.nearest_neighbours(3).expect("found").k, 0);
        assert!(space.nearest(&Tensor::from_slice(&[1.0_f32]).view([1, 1])).is_err());
    }
}
