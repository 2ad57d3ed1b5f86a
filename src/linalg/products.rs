//! Products of narrow matrices in 32 bits, a block of rows at a time, by the tile kernel.

use super::simd::Float;
use super::tile::{LANES, Place, Product, Sink, Tile, pack, tiles};

/// `products` (m x n) = `rows` (m x `columns`) times `others` (n x `columns`) transposed; all row-major. One thread.
///
/// # Panics
/// If the sizes do not belong together.
pub(crate) fn row_products(rows: &[f32], others: &[f32], columns: usize, products: &mut [f32]) {
    let (m, n) = (rows.len() / columns, others.len() / columns);
    assert_eq!((rows.len(), others.len(), products.len()), (m * columns, n * columns, m * n), "whole rows");
    let mut panels = Vec::new();
    pack(others, columns, &mut panels);
    products.fill(0.0);
    tiles(Product, rows, columns, &panels, n, &mut Add { width: n, sums: products });
}

/// `sums` (n x `columns`) += `weights` (m x n) transposed times `rows` (m x `columns`); all row-major. One thread.
///
/// # Panics
/// If the sizes do not belong together.
pub(crate) fn add_weighted_rows(weights: &[f32], rows: &[f32], columns: usize, sums: &mut [f32]) {
    let (m, n) = (rows.len() / columns, sums.len() / columns);
    assert_eq!((rows.len(), sums.len(), weights.len()), (m * columns, n * columns, m * n), "whole rows");
    if m == 0 || n == 0 {
        return;
    }
    let mut turned = vec![0.0; weights.len()];
    for (row, weights) in weights.chunks_exact(n).enumerate() {
        weights.iter().enumerate().for_each(|(output, &weight)| turned[output * m + row] = weight);
    }
    // Rows are already coordinate by coordinate what a panel is: sums run over them.
    let mut panels = vec![0.0; columns.div_ceil(LANES) * m * LANES];
    for (first, panel) in (0..columns).step_by(LANES).zip(panels.chunks_exact_mut(m * LANES)) {
        let lanes = LANES.min(columns - first);
        for (row, values) in rows.chunks_exact(columns).zip(panel.chunks_exact_mut(LANES)) {
            values[..lanes].copy_from_slice(&row[first..first + lanes]);
        }
    }
    tiles(Product, &turned, m, &panels, columns, &mut Add { width: columns, sums });
}

/// Adds what was found to a row-major matrix.
struct Add<'sums> {
    width: usize,
    sums: &'sums mut [f32],
}

impl Sink for Add<'_> {
    #[inline(always)]
    fn take<V: Float>(&mut self, place: Place, tile: &mut Tile) {
        let first = place.panel * LANES;
        let lanes = LANES.min(self.width - first);
        for (row, found) in tile.iter().enumerate().take(place.rows) {
            let sums = &mut self.sums[(place.row + row) * self.width + first..][..lanes];
            sums.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
        }
    }
}
