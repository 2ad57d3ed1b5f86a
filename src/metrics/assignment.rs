//! The best one-to-one assignment of rows to columns, dense or of counts that are mostly zero.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::MetricError;
use crate::progress;

/// No partner.
const NONE: usize = usize::MAX;

/// The pairs (row, column), by row, that no other choice of min(rows, columns) pairs without a shared row or column
/// exceeds in total profit (`scipy.optimize.linear_sum_assignment` with `maximize=True`; SciPy may choose other pairs
/// of
/// the same total). `profit` is rows x columns, row after row; profits may be negative. O(min² max) at most (Jonker and
/// Volgenant 1987; Crouse 2016).
///
/// # Errors
/// `profit` does not have rows x columns values; a profit that is not finite; cancelled.
pub fn linear_sum_assignment(profit: &[f64], rows: usize, columns: usize) -> Result<Vec<(usize, usize)>, MetricError> {
    if rows.checked_mul(columns) != Some(profit.len()) {
        let rule = format!("rows = {rows} times columns = {columns} values are needed");
        return Err(MetricError::Parameter { parameter: "profit", value: format!("{} values", profit.len()), rule });
    }
    if let Some(at) = profit.iter().position(|value| !value.is_finite()) {
        let value = format!("{} at row {}, column {}", profit[at], at / columns, at % columns);
        return Err(MetricError::Parameter { parameter: "profit", value, rule: "it must be finite".to_owned() });
    }
    let (few, many) = (rows.min(columns), rows.max(columns));
    // Sums along a path must stay finite.
    let huge = profit.iter().any(|value| value.abs() > 1e280);
    let scale = if huge { -f64::exp2(-100.0) } else { -1.0 };
    let cost: Vec<f64> = if rows <= columns {
        profit.iter().map(|value| scale * value).collect()
    } else {
        (0..few).flat_map(|column| (0..many).map(move |row| scale * profit[row * columns + column])).collect()
    };
    let partners = Dense::new(&cost, few, many).solve()?;
    let mut pairs: Vec<(usize, usize)> = partners.into_iter().enumerate().collect();
    if rows > columns {
        pairs = pairs.into_iter().map(|(column, row)| (row, column)).collect();
        pairs.sort_unstable();
    }
    Ok(pairs)
}

/// Shortest augmenting paths over a matrix of costs with at most as many rows as columns.
struct Dense<'cost> {
    cost: &'cost [f64],
    rows: usize,
    columns: usize,
    /// The dual value of each column, at most 0; 0 while it is free.
    v: Vec<f64>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
}

impl Dense<'_> {
    fn new(cost: &[f64], rows: usize, columns: usize) -> Dense<'_> {
        Dense { cost, rows, columns, v: vec![0.0; columns], column_of: vec![NONE; rows], row_of: vec![NONE; columns] }
    }

    /// The column of each row.
    fn solve(mut self) -> Result<Vec<usize>, MetricError> {
        if self.rows == 0 {
            return Ok(Vec::new());
        }
        let mut free = (0..self.rows).collect();
        // Each pass leaves few rows over; a third one would find little more.
        for _ in 0..2 {
            free = self.reduce(free);
        }
        let mut search = Search::new(self.columns);
        for row in free {
            progress::check()?;
            self.augment(row, &mut search);
        }
        Ok(self.column_of)
    }

    /// Gives each of the rows its cheapest column and makes that column as dear as the second cheapest; the row that
    /// had it goes next. Returns the rows that are left over ("augmenting row reduction").
    fn reduce(&mut self, rows: Vec<usize>) -> Vec<usize> {
        let mut left = Vec::new();
        // A row that is thrown out may throw out another one; with ties that would go on for long.
        let mut budget = 4 * rows.len() + 16;
        for mut row in rows {
            loop {
                let (best, least, second) = self.two_cheapest(row);
                let holder = self.row_of[best];
                let gain = second - least;
                if holder != NONE && gain <= 0.0 {
                    left.push(row);
                    break;
                }
                if gain > 0.0 && gain.is_finite() {
                    self.v[best] -= gain;
                }
                self.column_of[row] = best;
                self.row_of[best] = row;
                if holder == NONE {
                    break;
                }
                self.column_of[holder] = NONE;
                if budget == 0 {
                    left.push(holder);
                    break;
                }
                budget -= 1;
                row = holder;
            }
        }
        left
    }

    /// The row's column of least reduced cost (a free one if several are), that cost, and the next one.
    fn two_cheapest(&self, row: usize) -> (usize, f64, f64) {
        let costs = &self.cost[row * self.columns..(row + 1) * self.columns];
        let (mut best, mut least, mut second) = (0, f64::INFINITY, f64::INFINITY);
        for (column, (cost, v)) in costs.iter().zip(&self.v).enumerate() {
            let reduced = cost - v;
            if reduced < second {
                if reduced < least {
                    (best, second, least) = (column, least, reduced);
                } else {
                    second = reduced;
                    if reduced == least && self.row_of[best] != NONE && self.row_of[column] == NONE {
                        best = column;
                    }
                }
            }
        }
        (best, least, second)
    }

    /// Dijkstra's search from a free row to the nearest free column, and the exchange of partners along the way.
    fn augment(&mut self, start: usize, search: &mut Search) {
        let Search { distance, open, from, done } = search;
        distance.fill(f64::INFINITY);
        open.copy_from_slice(&self.v);
        done.clear();
        let (mut row, mut reached) = (start, 0.0_f64);
        // The start's dual value cancels out; a matched row's makes the cost of its own column 0.
        let mut u = 0.0;
        let (end, end_distance) = loop {
            let costs = &self.cost[row * self.columns..(row + 1) * self.columns];
            let offset = reached - u;
            for (((cost, v), distance), from) in costs.iter().zip(&*open).zip(&mut *distance).zip(&mut *from) {
                let through = offset + (cost - v);
                let nearer = through < *distance;
                *distance = if nearer { through } else { *distance };
                *from = if nearer { row as u32 } else { *from };
            }
            // None cannot be: there are at least as many columns as rows, and costs are finite.
            let Some((column, least)) = self.nearest(distance) else { return };
            if self.row_of[column] == NONE {
                break (column, least);
            }
            done.push((column, least));
            // At v = -inf, no distance to this column is ever below infinity again.
            open[column] = f64::NEG_INFINITY;
            distance[column] = f64::INFINITY;
            row = self.row_of[column];
            reached = least;
            u = self.cost[row * self.columns + column] - self.v[column];
        };
        for &(column, distance) in &*done {
            self.v[column] += distance - end_distance;
        }
        let mut column = end;
        loop {
            let row = from[column] as usize;
            self.row_of[column] = row;
            let before = std::mem::replace(&mut self.column_of[row], column);
            if row == start {
                return;
            }
            column = before;
        }
    }

    /// The column of least distance, a free one if several are; none if all distances are infinite.
    fn nearest(&self, distance: &[f64]) -> Option<(usize, f64)> {
        // Eight minima side by side, for want of a way to tell the compiler that their order does not matter.
        let mut lanes = [f64::INFINITY; 8];
        let strips = distance.chunks_exact(8);
        let rest = strips.remainder();
        for strip in strips {
            for (lane, &value) in lanes.iter_mut().zip(strip) {
                *lane = if value < *lane { value } else { *lane };
            }
        }
        let least = lanes.iter().chain(rest).copied().fold(f64::INFINITY, f64::min);
        if least == f64::INFINITY {
            return None;
        }
        let mut found = None;
        for (column, _) in distance.iter().enumerate().filter(|(_, distance)| **distance == least) {
            if self.row_of[column] == NONE {
                return Some((column, least));
            }
            found = found.or(Some((column, least)));
        }
        found
    }
}

/// What a search writes on, kept from one to the next.
struct Search {
    distance: Vec<f64>,
    /// The dual values, -inf for columns that are done.
    open: Vec<f64>,
    from: Vec<u32>,
    done: Vec<(usize, f64)>,
}

impl Search {
    fn new(columns: usize) -> Search {
        Search {
            distance: vec![0.0; columns],
            open: vec![0.0; columns],
            from: vec![0; columns],
            done: Vec::with_capacity(columns),
        }
    }
}

/// The largest total of counts in cells of which no two share a row or a column. Only cells that are not zero are
/// given:
/// `starts` has rows + 1 places in `cells`, which hold (column, count) row after row.
///
/// Shortest augmenting paths over whole numbers, in which each row may also stay alone, for 0. O(rows · cells · log)
/// at most, and about O(cells · log) for the counts of labels. Memory O(cells).
pub(super) fn largest_total(starts: &[usize], cells: &[(u32, u32)], columns: usize) -> u64 {
    Sparse::new(starts, cells, columns).solve()
}

struct Sparse<'cells> {
    starts: &'cells [usize],
    cells: &'cells [(u32, u32)],
    /// Dual values: u + v is at least the count of each cell, and equal to it for partners; never negative.
    u: Vec<i64>,
    v: Vec<i64>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
}

impl Sparse<'_> {
    fn new<'cells>(starts: &'cells [usize], cells: &'cells [(u32, u32)], columns: usize) -> Sparse<'cells> {
        let rows = starts.len().saturating_sub(1);
        Sparse {
            starts,
            cells,
            u: vec![0; rows],
            v: vec![0; columns],
            column_of: vec![NONE; rows],
            row_of: vec![NONE; columns],
        }
    }

    fn row(&self, row: usize) -> &[(u32, u32)] {
        &self.cells[self.starts[row]..self.starts[row + 1]]
    }

    fn solve(mut self) -> u64 {
        let rows = self.u.len();
        let mut free = Vec::new();
        for row in 0..rows {
            let largest = self.row(row).iter().map(|cell| cell.1).max().unwrap_or(0);
            self.u[row] = i64::from(largest);
            let open = |&&(column, count): &&(u32, u32)| count == largest && self.row_of[column as usize] == NONE;
            match self.row(row).iter().find(open).map(|cell| cell.0 as usize) {
                Some(column) => {
                    self.column_of[row] = column;
                    self.row_of[column] = row;
                }
                None => free.push(row),
            }
        }
        let mut paths = Paths::new(rows, self.v.len());
        for row in free {
            self.augment(row, &mut paths);
        }
        // Duals are tight on partners and 0 elsewhere, but the counts themselves are the plainer sum.
        let count = |row: usize| {
            let partner = self.column_of[row];
            self.row(row).iter().find(|cell| cell.0 as usize == partner).map_or(0, |cell| u64::from(cell.1))
        };
        (0..rows).map(count).sum()
    }

    /// Finds the cheapest way to give `start` a column: to a free one, or to a row that had better stay alone.
    fn augment(&mut self, start: usize, paths: &mut Paths) {
        paths.begin();
        let (mut row, mut reached) = (start, 0_i64);
        // The row that will be alone at the least loss found so far, and that loss.
        let (mut alone, mut least_loss) = (start, self.u[start]);
        let mut end = None;
        loop {
            let mut at_once = None;
            for &(column, count) in &self.cells[self.starts[row]..self.starts[row + 1]] {
                let column = column as usize;
                let distance = reached + self.u[row] + self.v[column] - i64::from(count);
                if distance < least_loss && paths.improve(column, distance, row) {
                    if self.row_of[column] == NONE {
                        // Free columns have v = 0; nothing nearer than `reached` can follow.
                        if distance == reached {
                            at_once = Some((column, distance));
                            break;
                        }
                    }
                    paths.push(column, distance);
                }
            }
            if at_once.is_some() {
                end = at_once;
                break;
            }
            let Some((column, distance)) = paths.pop().filter(|&(_, distance)| distance < least_loss) else { break };
            if self.row_of[column] == NONE {
                end = Some((column, distance));
                break;
            }
            paths.done.push((column, distance));
            row = self.row_of[column];
            reached = distance;
            let loss = reached + self.u[row];
            if loss < least_loss {
                (alone, least_loss) = (row, loss);
            }
        }
        let end_distance = end.map_or(least_loss, |(_, distance)| distance);
        self.u[start] -= end_distance;
        for &(column, distance) in &paths.done {
            if distance < end_distance {
                self.u[self.row_of[column]] -= end_distance - distance;
                self.v[column] += end_distance - distance;
            }
        }
        // Backwards from the free column, or from the column of the row that will be alone.
        let mut column = match end {
            Some((column, _)) => column,
            None if alone == start => return,
            None => std::mem::replace(&mut self.column_of[alone], NONE),
        };
        loop {
            let row = paths.from[column];
            self.row_of[column] = row;
            let before = std::mem::replace(&mut self.column_of[row], column);
            if row == start {
                return;
            }
            column = before;
        }
    }
}

/// The distances of a search, forgotten at the next by a change of its number.
struct Paths {
    search: u32,
    seen: Vec<u32>,
    distance: Vec<i64>,
    from: Vec<usize>,
    heap: BinaryHeap<Reverse<(i64, usize)>>,
    done: Vec<(usize, i64)>,
}

impl Paths {
    fn new(rows: usize, columns: usize) -> Paths {
        Paths {
            search: 0,
            seen: vec![0; columns],
            distance: vec![0; columns],
            from: vec![0; columns],
            heap: BinaryHeap::new(),
            done: Vec::with_capacity(rows),
        }
    }

    fn begin(&mut self) {
        self.search += 1;
        self.heap.clear();
        self.done.clear();
    }

    /// Whether this is the shortest way to the column so far; it is noted then.
    fn improve(&mut self, column: usize, distance: i64, row: usize) -> bool {
        if self.seen[column] == self.search && self.distance[column] <= distance {
            return false;
        }
        self.seen[column] = self.search;
        self.distance[column] = distance;
        self.from[column] = row;
        true
    }

    fn push(&mut self, column: usize, distance: i64) {
        self.heap.push(Reverse((distance, column)));
    }

    /// The nearest column that is not done.
    fn pop(&mut self) -> Option<(usize, i64)> {
        while let Some(Reverse((distance, column))) = self.heap.pop() {
            if self.distance[column] == distance {
                // Never again: entries of the same distance are duplicates only if pushed twice, which `improve` bars.
                return Some((column, distance));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn total(profit: &[f64], columns: usize, pairs: &[(usize, usize)]) -> f64 {
        pairs.iter().map(|&(row, column)| profit[row * columns + column]).sum()
    }

    /// The same by counts, of which zeros are left out.
    fn sparse_total(profit: &[f64], columns: usize) -> u64 {
        let (mut starts, mut cells) = (vec![0], Vec::new());
        for row in profit.chunks(columns) {
            cells.extend(row.iter().enumerate().filter(|(_, v)| **v > 0.0).map(|(at, &v)| (at as u32, v as u32)));
            starts.push(cells.len());
        }
        largest_total(&starts, &cells, columns)
    }

    #[test]
    fn golden() {
        let cases = golden::cases("hungarian.json");
        for case in &cases {
            let rows: Vec<Vec<f64>> = case["profit"].as_array().expect("rows").iter().map(golden::numbers).collect();
            let (profit, columns) = (rows.concat(), rows[0].len());
            let expected = golden::number(&case["expect"]["max_total"]);
            let pairs = linear_sum_assignment(&profit, rows.len(), columns).expect("valid");
            assert_eq!(pairs.len(), rows.len().min(columns));
            assert_eq!(total(&profit, columns, &pairs), expected, "{}", case["name"]);
            assert_eq!(sparse_total(&profit, columns), expected as u64, "{}", case["name"]);
        }
        assert_eq!(cases.len(), 7);
    }

    /// By trying all ways.
    fn naive(profit: &[f64], columns: usize, taken: &mut Vec<bool>) -> f64 {
        let Some(row) = profit.get(..columns) else { return 0.0 };
        let mut most = f64::NEG_INFINITY;
        for column in 0..columns {
            if !taken[column] {
                taken[column] = true;
                most = most.max(row[column] + naive(&profit[columns..], columns, taken));
                taken[column] = false;
            }
        }
        most
    }

    #[test]
    fn equals_all_ways() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for round in 0..3000 {
            let (rows, columns) = (random(6) as usize + 1, random(6) as usize + 1);
            let (rows, columns) = (rows.min(columns), rows.max(columns));
            let values = [2, 3, 10, 1000][round % 4];
            let lowest = if round % 3 == 0 { -(values as f64) / 2.0 } else { 0.0 };
            let profit: Vec<f64> = (0..rows * columns).map(|_| random(values) as f64 + lowest).collect();
            let expected = naive(&profit, columns, &mut vec![false; columns]);
            let pairs = linear_sum_assignment(&profit, rows, columns).expect("valid");
            assert_eq!(total(&profit, columns, &pairs), expected, "{rows} x {columns}: {profit:?}");
            let turned: Vec<f64> =
                (0..columns).flat_map(|column| profit.iter().skip(column).step_by(columns).copied()).collect();
            let pairs = linear_sum_assignment(&turned, columns, rows).expect("valid");
            assert_eq!(total(&turned, rows, &pairs), expected);
            assert!(pairs.is_sorted());
            if lowest == 0.0 {
                assert_eq!(sparse_total(&profit, columns), expected as u64, "{rows} x {columns}: {profit:?}");
                assert_eq!(sparse_total(&turned, rows), expected as u64, "{columns} x {rows}: {turned:?}");
            }
        }
    }

    #[test]
    fn dense_and_sparse_agree_on_larger_ones() {
        let mut state = 5_u64;
        for (rows, columns, share) in [(40, 60, 5), (90, 90, 20), (150, 100, 50), (120, 120, 97)] {
            let profit: Vec<f64> = (0..rows * columns)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let value = state >> 33;
                    if value % 100 < share { ((value / 100) % 7) as f64 } else { 0.0 }
                })
                .collect();
            let pairs = linear_sum_assignment(&profit, rows, columns).expect("valid");
            assert_eq!(total(&profit, columns, &pairs) as u64, sparse_total(&profit, columns));
        }
    }

    #[test]
    fn edges() {
        assert_eq!(linear_sum_assignment(&[], 0, 5), Ok(Vec::new()));
        assert_eq!(linear_sum_assignment(&[], 5, 0), Ok(Vec::new()));
        assert_eq!(linear_sum_assignment(&[-3.0], 1, 1), Ok(vec![(0, 0)]));
        assert_eq!(largest_total(&[0], &[], 0), 0);
        let error = linear_sum_assignment(&[1.0, f64::NAN], 1, 2).expect_err("NaN").to_string();
        assert_eq!(error, "profit = NaN at row 0, column 1: it must be finite");
        let error = linear_sum_assignment(&[1.0], 1, 2).expect_err("shape").to_string();
        assert_eq!(error, "profit = 1 values: rows = 1 times columns = 2 values are needed");
        let huge = linear_sum_assignment(&[f64::MAX, -f64::MAX, -f64::MAX, f64::MAX], 2, 2).expect("finite");
        assert_eq!(huge.len(), 2);
    }
}
