//! Labels and shares of passes with bounds, against passes without.

use super::*;

/// Numbers between -0.5 and 0.5, by a rule.
fn noise(at: usize) -> f32 {
    let mut state = at as u64 ^ 0x9e37_79b9_7f4a_7c15;
    for _ in 0..3 {
        state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    (state >> 40) as f32 / (1 << 24) as f32 - 0.5
}

/// Points around `centres` centres, `spread` wide.
fn groups(rows: usize, columns: usize, centres: usize, spread: f32) -> Points {
    let value = |row: usize, column: usize| {
        let centre = noise(row * 31 % centres) as f64 * 1e6;
        noise(centre as i64 as usize ^ (column * 7907)) + spread * noise((row * columns + column) ^ 0x5555_0000)
    };
    Points::new(rows, columns, (0..rows * columns).map(|at| value(at / columns, at % columns)).collect())
        .expect("valid")
}

/// With bounds, however few numbers there are.
fn bounded(points: &Points, clusters: usize) -> Assigner<'_> {
    Assigner { worthwhile: clusters > 1, ..Assigner::new(points, clusters) }
}

/// The centres after points were labelled; those without points stay.
fn means(points: &Points, labels: &[u32], centres: &mut [f64]) {
    let columns = points.columns();
    let mut sums = vec![0.0; centres.len()];
    let mut counts = vec![0.0; centres.len() / columns];
    for (row, &label) in points.iter().zip(labels) {
        counts[label as usize] += 1.0;
        let sum = &mut sums[label as usize * columns..][..columns];
        sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    for (at, centre) in centres.iter_mut().enumerate() {
        if counts[at / columns] > 0.0 {
            *centre = sums[at] / counts[at / columns];
        }
    }
}

/// Checks so many passes, and gives the least share of pairs that one computed.
fn check(points: &Points, start: &[f32], passes: usize) -> f64 {
    let columns = points.columns();
    let mut centres: Vec<f64> = start.iter().map(|&value| f64::from(value)).collect();
    let mut assigner = bounded(points, start.len() / columns);
    let (mut labels, mut expected) = (vec![0; points.rows()], vec![0; points.rows()]);
    let mut least = 1.0_f64;
    for pass in 0..passes {
        assigner.assign(&centres, &mut labels);
        let values: Vec<f32> = centres.iter().map(|&value| value as f32).collect();
        nearest(points, &Centres::new(&values, columns), &mut expected);
        assert_eq!(labels, expected, "pass {pass}");
        least = least.min(assigner.share);
        means(points, &labels, &mut centres);
    }
    least
}

#[test]
fn labels_are_those_of_whole_passes() {
    for (rows, columns, centres, spread, count) in [
        (900, 24, 9, 0.2, 2),
        (700, 40, 30, 1.0, 17),
        (1300, 64, 60, 0.3, 60),
        (2000, 33, 50, 0.5, 130),
        (5, 30, 5, 0.1, 5),
    ] {
        let points = groups(rows, columns, centres, spread);
        let start = &points.as_slice()[..count * columns];
        let share = check(&points, start, 30);
        assert!(share < 0.5 || rows == 5, "{rows} x {columns}, {count} centres: {share} of the pairs");
    }
}

#[test]
fn without_groups_there_are_few_bounds_but_the_same_labels() {
    for count in [3, 50, 200] {
        let points = Points::new(600, 48, (0..600 * 48).map(noise).collect()).expect("valid");
        check(&points, &points.as_slice()[..count * 48], 40);
    }
}

#[test]
fn ties_go_to_the_lowest_number() {
    // Lattice points, many of them as far from two centres, and centres that are copies of each other.
    let points = Points::new(1500, 24, (0..1500 * 24).map(|at| (noise(at) * 3.0).round()).collect()).expect("valid");
    for count in [4, 40, 90] {
        let mut start = points.as_slice()[..count * 24].to_vec();
        let copy = start[24..48].to_vec();
        start[(count - 1) * 24..].copy_from_slice(&copy);
        check(&points, &start, 25);
        let columns = 24;
        let mut assigner = bounded(&points, count);
        let fixed: Vec<f64> = start.iter().map(|&value| f64::from(value)).collect();
        let (mut labels, mut expected) = (vec![0; 1500], vec![0; 1500]);
        nearest(&points, &Centres::new(&start, columns), &mut expected);
        for _ in 0..5 {
            assigner.assign(&fixed, &mut labels);
            assert_eq!(labels, expected);
        }
    }
}

#[test]
fn every_size_of_numbers() {
    for scale in [1e-30, 1e-18, 1e-9, 1.0, 1e8, 1e16] {
        let values = groups(800, 32, 20, 0.2).as_slice().iter().map(|value| value * scale).collect();
        let points = Points::new(800, 32, values).expect("valid");
        check(&points, &points.as_slice()[..20 * 32], 12);
        // Some points tiny, some not; one centre far away.
        let mixed =
            points.as_slice().iter().enumerate().map(|(at, value)| if at % 64 < 32 { *value } else { value * 1e-12 });
        let points = Points::new(800, 32, mixed.collect()).expect("valid");
        let mut start = points.as_slice()[..20 * 32].to_vec();
        start[..32].iter_mut().for_each(|value| *value *= 1e4);
        check(&points, &start, 12);
    }
}

#[test]
fn all_points_equal_and_one_centre() {
    let points = Points::new(300, 30, vec![0.25; 9000]).expect("valid");
    check(&points, &points.as_slice()[..30], 4);
    check(&points, &points.as_slice()[..300 * 30], 4);
}

#[test]
fn jumping_centres() {
    let points = groups(1000, 30, 40, 0.3);
    let mut assigner = bounded(&points, 40);
    let (mut labels, mut expected) = (vec![0; 1000], vec![0; 1000]);
    for pass in 0..30 {
        // Centres creep, and every seventh pass one of them jumps.
        let jump = |at: usize| if pass % 7 == 6 && at / 30 == pass { 0.5 } else { 0.0 };
        let creep = |at: usize| f64::from(noise(at + pass * 5000)) * 1e-3;
        let centres: Vec<f64> =
            (0..40 * 30).map(|at| f64::from(points.as_slice()[at]) + jump(at) + creep(at)).collect();
        let values: Vec<f32> = centres.iter().map(|&value| value as f32).collect();
        assigner.assign(&centres, &mut labels);
        nearest(&points, &Centres::new(&values, 30), &mut expected);
        assert_eq!(labels, expected, "pass {pass}");
    }
    assert!(assigner.share < 0.5);
}

#[test]
fn threads_change_nothing() {
    let points = groups(3000, 48, 60, 0.6);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| check(&points, &points.as_slice()[..70 * 48], 15))
    };
    assert_eq!(run(1), run(3));
}
