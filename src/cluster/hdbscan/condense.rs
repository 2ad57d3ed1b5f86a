//! From a spanning tree to the tree of clusters: the hierarchy of single linkage, without the splits that only shed a
//! few points.

use super::Edge;
use super::unite::Sets;

/// One merge of the hierarchy; merge `m` of n points makes node n + m.
struct Merge {
    left: u32,
    right: u32,
    distance: f64,
    size: u32,
}

/// A part that leaves a cluster: a point, or one of the two clusters it splits into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    /// The cluster: n is the one of all points, its descendants follow in the order of a breadth-first search.
    pub parent: u32,
    /// A point, below n, or a cluster.
    pub child: u32,
    /// 1 / distance at which it leaves; infinite at distance 0.
    pub lambda: f64,
    /// How many points it has.
    pub size: u32,
}

/// The tree of all clusters of at least `min_cluster_size` points, from the sorted edges of a spanning tree of `rows`
/// points, at least 2. Parts of a cluster come after the part that is the cluster, in ascending lambda. O(n).
pub(super) fn condense(edges: &[Edge], rows: usize, min_cluster_size: usize) -> Vec<Part> {
    let merges = merges(edges, rows);
    let size = |node: u32| (node as usize).checked_sub(rows).map_or(1, |merge| merges[merge].size);
    let root = (2 * rows - 2) as u32;
    let mut clusters = vec![rows as u32; 2 * rows - 1];
    let mut next = rows as u32 + 1;
    let mut parts = Vec::with_capacity(rows + rows / 4);
    let mut nodes = vec![root];
    let mut at = 0;
    // Only nodes that are still a cluster are in the queue: what was shed is not looked into.
    while let Some(&node) = nodes.get(at) {
        at += 1;
        let Some(merge) = (node as usize).checked_sub(rows).map(|merge| &merges[merge]) else { continue };
        let parent = clusters[node as usize];
        let lambda = if merge.distance > 0.0 { 1.0 / merge.distance } else { f64::INFINITY };
        let children = [merge.left, merge.right];
        let stay = children.map(|child| size(child) as usize >= min_cluster_size);
        for (child, stays) in children.into_iter().zip(stay) {
            if stay == [true, true] {
                clusters[child as usize] = next;
                parts.push(Part { parent, child: next, lambda, size: size(child) });
                next += 1;
            } else if !stays {
                shed(child, rows, &merges, |point| parts.push(Part { parent, child: point, lambda, size: 1 }));
            } else {
                clusters[child as usize] = parent;
            }
            if stays {
                nodes.push(child);
            }
        }
    }
    parts
}

/// The hierarchy. As in scikit-learn, whose tree grows from point 0, a merge's left side is the one towards point 0.
fn merges(edges: &[Edge], rows: usize) -> Vec<Merge> {
    let parents = parents(edges, rows);
    let mut sets = Sets::new(rows);
    let mut nodes: Vec<u32> = (0..rows as u32).collect();
    let mut sizes = vec![1_u32; rows];
    let mut merges = Vec::with_capacity(edges.len());
    for edge in edges {
        let (from, to) = if parents[edge.b] == edge.a as u32 { (edge.a, edge.b) } else { (edge.b, edge.a) };
        let (left, right) = (sets.find(from), sets.find(to));
        let size = sizes[left] + sizes[right];
        merges.push(Merge { left: nodes[left], right: nodes[right], distance: edge.weight, size });
        let set = sets.unite(left, right);
        sizes[set] = size;
        nodes[set] = (rows + merges.len() - 1) as u32;
    }
    merges
}

/// The next point of each on its way to point 0.
fn parents(edges: &[Edge], rows: usize) -> Vec<u32> {
    let mut starts = vec![0_u32; rows + 1];
    for end in edges.iter().flat_map(|edge| [edge.a, edge.b]) {
        starts[end + 1] += 1;
    }
    for row in 0..rows {
        starts[row + 1] += starts[row];
    }
    let mut fill = starts.clone();
    let mut others = vec![0_u32; 2 * edges.len()];
    for (end, other) in edges.iter().flat_map(|edge| [(edge.a, edge.b), (edge.b, edge.a)]) {
        others[fill[end] as usize] = other as u32;
        fill[end] += 1;
    }
    let mut parents = vec![u32::MAX; rows];
    let mut waiting = vec![0_u32];
    while let Some(point) = waiting.pop() {
        for &other in &others[starts[point as usize] as usize..starts[point as usize + 1] as usize] {
            if other != parents[point as usize] {
                parents[other as usize] = point;
                waiting.push(other);
            }
        }
    }
    parents
}

/// The points below a node, breadth first.
fn shed(node: u32, rows: usize, merges: &[Merge], mut point: impl FnMut(u32)) {
    let mut nodes = vec![node];
    let mut at = 0;
    while let Some(&node) = nodes.get(at) {
        at += 1;
        match (node as usize).checked_sub(rows) {
            None => point(node),
            Some(merge) => nodes.extend([merges[merge].left, merges[merge].right]),
        }
    }
}
