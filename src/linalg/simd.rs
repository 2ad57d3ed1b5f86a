//! Sixteen 32-bit numbers at once: one trait, and what each kind of processor does for it.
//!
//! Loops over vectors are written once, generic over [`Float`], and always inlined into one function for each kind of
//! processor ([`dispatch`]), which alone carries the compiler's `target_feature`: so they become that processor's
//! instructions. The processor is asked what it has when the program runs. Results differ between kinds of processors
//! in the last bits, since some fuse a product with a sum; they never differ between runs or numbers of threads.
#![allow(unsafe_code)]

/// Numbers in a vector.
pub(super) const WIDTH: usize = 16;

/// A vector of sixteen values in registers.
pub(super) trait Vector: Copy {
    /// One of its values.
    type Value: Copy;

    /// Sixteen times the same.
    fn splat(value: Self::Value) -> Self;
    /// From memory.
    fn load(values: &[Self::Value; WIDTH]) -> Self;
    /// To memory.
    fn store(self, values: &mut [Self::Value; WIDTH]);
}

/// A vector of 32-bit floating-point numbers.
pub(super) trait Float: Vector<Value = f32> {
    /// `self + a * b`.
    fn multiply_add(self, a: Self, b: Self) -> Self;
    /// `self + other`.
    fn add(self, other: Self) -> Self;
    /// `self - other`.
    fn subtract(self, other: Self) -> Self;
    /// Without the signs.
    fn absolute(self) -> Self;
    /// The larger of each two.
    fn maximum(self, other: Self) -> Self;
    /// The square roots.
    fn root(self) -> Self;
    /// Bit i is set where value i is at most that of `other`.
    fn at_most(self, other: Self) -> u16;
}

/// Vectors for any processor.
#[derive(Clone, Copy)]
pub(super) struct Portable<T>([T; WIDTH]);

impl<T: Copy> Vector for Portable<T> {
    type Value = T;

    #[inline(always)]
    fn splat(value: T) -> Self {
        Portable([value; WIDTH])
    }

    #[inline(always)]
    fn load(values: &[T; WIDTH]) -> Self {
        Portable(*values)
    }

    #[inline(always)]
    fn store(self, values: &mut [T; WIDTH]) {
        *values = self.0;
    }
}

impl Float for Portable<f32> {
    #[inline(always)]
    fn multiply_add(mut self, a: Self, b: Self) -> Self {
        for lane in 0..WIDTH {
            self.0[lane] += a.0[lane] * b.0[lane];
        }
        self
    }

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for lane in 0..WIDTH {
            self.0[lane] += other.0[lane];
        }
        self
    }

    #[inline(always)]
    fn subtract(mut self, other: Self) -> Self {
        for lane in 0..WIDTH {
            self.0[lane] -= other.0[lane];
        }
        self
    }

    #[inline(always)]
    fn absolute(mut self) -> Self {
        for lane in 0..WIDTH {
            self.0[lane] = self.0[lane].abs();
        }
        self
    }

    #[inline(always)]
    fn maximum(mut self, other: Self) -> Self {
        for lane in 0..WIDTH {
            self.0[lane] = if self.0[lane] > other.0[lane] { self.0[lane] } else { other.0[lane] };
        }
        self
    }

    #[inline(always)]
    fn root(mut self) -> Self {
        for lane in 0..WIDTH {
            self.0[lane] = self.0[lane].sqrt();
        }
        self
    }

    #[inline(always)]
    fn at_most(self, other: Self) -> u16 {
        (0..WIDTH).fold(0, |mask, lane| mask | (u16::from(self.0[lane] <= other.0[lane]) << lane))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use std::arch::x86_64::*;

    use super::{Float, Vector, WIDTH};

    /// 512-bit registers. Its functions must only run where AVX-512F was detected.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512);

    /// Pairs of 256-bit registers. Its functions must only run where AVX2 and FMA were detected.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256, __m256);

    // SAFETY (all blocks of this module): the types never leave `linalg`, and are named only in the functions that
    // `dispatch` calls after it has found the instructions; loads and stores go through references to 16 values.

    impl Vector for Avx512 {
        type Value = f32;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        fn load(values: &[f32; WIDTH]) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_loadu_ps(values.as_ptr()) })
        }

        #[inline(always)]
        fn store(self, values: &mut [f32; WIDTH]) {
            // SAFETY: see above.
            unsafe { _mm512_storeu_ps(values.as_mut_ptr(), self.0) }
        }
    }

    impl Float for Avx512 {
        #[inline(always)]
        fn multiply_add(self, a: Self, b: Self) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn subtract(self, other: Self) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn absolute(self) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_abs_ps(self.0) })
        }

        #[inline(always)]
        fn maximum(self, other: Self) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_max_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn root(self) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_sqrt_ps(self.0) })
        }

        #[inline(always)]
        fn at_most(self, other: Self) -> u16 {
            // SAFETY: see above.
            unsafe { _mm512_cmp_ps_mask::<_CMP_LE_OQ>(self.0, other.0) }
        }
    }

    impl Vector for Avx2 {
        type Value = f32;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: see above.
            let half = unsafe { _mm256_set1_ps(value) };
            Avx2(half, half)
        }

        #[inline(always)]
        fn load(values: &[f32; WIDTH]) -> Self {
            // SAFETY: see above; the second half begins at value 8 of 16.
            unsafe { Avx2(_mm256_loadu_ps(values.as_ptr()), _mm256_loadu_ps(values.as_ptr().add(8))) }
        }

        #[inline(always)]
        fn store(self, values: &mut [f32; WIDTH]) {
            // SAFETY: see above; the second half begins at value 8 of 16.
            unsafe {
                _mm256_storeu_ps(values.as_mut_ptr(), self.0);
                _mm256_storeu_ps(values.as_mut_ptr().add(8), self.1);
            }
        }
    }

    impl Float for Avx2 {
        #[inline(always)]
        fn multiply_add(self, a: Self, b: Self) -> Self {
            // SAFETY: see above.
            unsafe { Avx2(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { Avx2(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn subtract(self, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { Avx2(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn absolute(self) -> Self {
            // SAFETY: see above.
            unsafe {
                let sign = _mm256_set1_ps(-0.0);
                Avx2(_mm256_andnot_ps(sign, self.0), _mm256_andnot_ps(sign, self.1))
            }
        }

        #[inline(always)]
        fn maximum(self, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { Avx2(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn root(self) -> Self {
            // SAFETY: see above.
            unsafe { Avx2(_mm256_sqrt_ps(self.0), _mm256_sqrt_ps(self.1)) }
        }

        #[inline(always)]
        fn at_most(self, other: Self) -> u16 {
            // SAFETY: see above.
            unsafe {
                let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(self.0, other.0));
                let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(self.1, other.1));
                (low | (high << 8)) as u16
            }
        }
    }
}

/// A piece of work that can be done with any kind of vector; its `run` is always inlined.
pub(super) trait Work {
    /// What comes out.
    type Output;

    /// Does the work with `V`; `ROWS` times `VECTORS` of them, and a few more, fit the registers.
    fn run<V: Float, const ROWS: usize, const VECTORS: usize>(self) -> Self::Output;
}

/// Does the work with the best vectors that this processor has.
pub(super) fn dispatch<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
            // SAFETY: the instructions were found.
            return unsafe { with_avx512(work) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the instructions were found.
            return unsafe { with_avx2(work) };
        }
    }
    work.run::<Portable<f32>, 3, 1>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn with_avx512<W: Work>(work: W) -> W::Output {
    work.run::<x86::Avx512, 6, 2>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<W: Work>(work: W) -> W::Output {
    work.run::<x86::Avx2, 6, 1>()
}
