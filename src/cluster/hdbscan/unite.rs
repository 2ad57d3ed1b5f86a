//! Sets that grow together.

/// Disjoint sets of the numbers below a bound, by size and with paths halved.
pub(super) struct Sets {
    parents: Vec<u32>,
    sizes: Vec<u32>,
}

impl Sets {
    pub fn new(count: usize) -> Sets {
        Sets { parents: (0..count as u32).collect(), sizes: vec![1; count] }
    }

    /// The member that stands for the set of `member`.
    pub fn find(&mut self, member: usize) -> usize {
        let mut at = member;
        while self.parents[at] as usize != at {
            self.parents[at] = self.parents[self.parents[at] as usize];
            at = self.parents[at] as usize;
        }
        at
    }

    /// Unites the sets of two members; the member that stands for both.
    pub fn unite(&mut self, a: usize, b: usize) -> usize {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return a;
        }
        let (large, small) = if self.sizes[a] >= self.sizes[b] { (a, b) } else { (b, a) };
        self.parents[small] = large as u32;
        self.sizes[large] += self.sizes[small];
        large
    }
}
