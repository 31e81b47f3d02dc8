//! Decision diagrams over short unsigned fields: one level a field, each node
//! a list of intervals of the field's values.
//!
//! Nodes are shared: two diagrams hold the same points exactly when they are
//! the same node, so comparing sets is comparing numbers.

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::{BuildHasher as _, Hash, Hasher};

/// A set of points: the number of its root node.
pub(super) type Id = u32;

/// The diagram of no point.
pub(super) const EMPTY: Id = 0;
/// The diagram of all points.
pub(super) const FULL: Id = 1;

/// The values after the last edge's end and up to `last` lead to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) last: u16,
    pub(super) to: Id,
}

/// In one word: nodes may have thousands of edges.
impl Hash for Edge {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.last) << 32 | u64::from(self.to));
    }
}

/// More nodes or steps than the diagram may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

#[derive(Clone, Copy, Debug)]
struct Node {
    level: u8,
    first: u32,
    edges: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Intersect,
    Unite,
    Subtract,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Left,
    Right,
}

impl Operation {
    /// The side whose set makes the result whatever the other's is.
    #[inline]
    fn decider(self, a: Id, b: Id) -> Option<Side> {
        let (left, right) = match self {
            Self::Intersect => (EMPTY, EMPTY),
            Self::Unite => (FULL, FULL),
            Self::Subtract => (EMPTY, FULL),
        };
        match (a == left, b == right) {
            (true, _) => Some(Side::Left),
            (_, true) => Some(Side::Right),
            _ => None,
        }
    }

    /// The result, where no node need be looked at.
    #[inline]
    fn decided(self, a: Id, b: Id) -> Option<Id> {
        match self {
            Self::Intersect => match (a, b) {
                (EMPTY, _) | (_, EMPTY) => Some(EMPTY),
                (FULL, other) | (other, FULL) => Some(other),
                _ => (a == b).then_some(a),
            },
            Self::Unite => match (a, b) {
                (FULL, _) | (_, FULL) => Some(FULL),
                (EMPTY, other) | (other, EMPTY) => Some(other),
                _ => (a == b).then_some(a),
            },
            Self::Subtract => match (a, b) {
                (EMPTY, _) | (_, FULL) => Some(EMPTY),
                (_, EMPTY) => Some(a),
                _ => (a == b).then_some(EMPTY),
            },
        }
    }
}

/// Adds an edge, or lets the last one reach as far.
#[inline]
fn append(edges: &mut Vec<Edge>, edge: Edge) {
    match edges.last_mut() {
        Some(last) if last.to == edge.to => last.last = edge.last,
        _ => edges.push(edge),
    }
}

#[derive(Debug)]
pub(super) struct Diagram {
    /// The largest value of each level.
    last: Vec<u16>,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    shared: HashTable<Id>,
    hasher: DefaultHashBuilder,
    /// Results known already; dropped when there are too many.
    known: HashMap<(Operation, Id, Id), Id>,
    work: u64,
    most_work: u64,
}

/// Results to remember, at most.
const MOST_KNOWN: usize = 1 << 22;
/// Edges to hold, at most: 8 bytes each.
const MOST_EDGES: usize = 1 << 26;

impl Diagram {
    /// Levels with these largest values, tested in this order.
    pub(super) fn new(last: Vec<u16>, most_work: u64) -> Self {
        // The two terminals stand below all levels.
        let terminal = Node {
            level: last.len() as u8,
            first: 0,
            edges: 0,
        };
        Self {
            last,
            nodes: vec![terminal; 2],
            edges: Vec::new(),
            shared: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            known: HashMap::new(),
            work: 0,
            most_work,
        }
    }

    /// The level that a node tests; one past the last for terminals.
    pub(super) fn level(&self, id: Id) -> usize {
        usize::from(self.nodes[id as usize].level)
    }

    /// A node's edges, in order of their values, which they cover; none for
    /// terminals.
    pub(super) fn edges(&self, id: Id) -> &[Edge] {
        let node = self.nodes[id as usize];
        &self.edges[node.first as usize..(node.first + node.edges) as usize]
    }

    /// Steps taken so far.
    pub(super) fn work(&self) -> u64 {
        self.work
    }

    /// The node that tests `level` with these edges, whose values ascend and
    /// end with the level's last; neighbours lead to different nodes.
    fn node(&mut self, level: usize, edges: &[Edge]) -> Result<Id, Exhausted> {
        if let [only] = edges {
            return Ok(only.to);
        }
        let hash = self.hasher.hash_one((level, edges));
        let found = self.shared.find(hash, |id| {
            self.level(*id) == level && self.edges(*id) == edges
        });
        if let Some(id) = found {
            return Ok(*id);
        }
        if self.edges.len() + edges.len() > MOST_EDGES {
            return Err(Exhausted);
        }
        let id = self.nodes.len() as Id;
        self.nodes.push(Node {
            level: level as u8,
            first: self.edges.len() as u32,
            edges: edges.len() as u32,
        });
        self.edges.extend_from_slice(edges);
        let (nodes, all, hasher) = (&self.nodes, &self.edges, &self.hasher);
        self.shared.insert_unique(hash, id, |id| {
            let node = nodes[*id as usize];
            let own = &all[node.first as usize..(node.first + node.edges) as usize];
            hasher.hash_one((usize::from(node.level), own))
        });
        Ok(id)
    }

    /// The node of `level` that leads from each value where `to` says.
    pub(super) fn by_value(
        &mut self,
        level: usize,
        to: impl Fn(u16) -> Id,
    ) -> Result<Id, Exhausted> {
        let mut edges = Vec::new();
        for last in 0..=self.last[level] {
            let to = to(last);
            append(&mut edges, Edge { last, to });
        }
        self.node(level, &edges)
    }

    /// The node of `level` that leads from the chosen values to `inside` and
    /// from the others to `outside`.
    pub(super) fn choice(
        &mut self,
        level: usize,
        inside: Id,
        outside: Id,
        chosen: impl Fn(u16) -> bool,
    ) -> Result<Id, Exhausted> {
        self.by_value(level, |value| if chosen(value) { inside } else { outside })
    }

    /// The node of `level` for one interval of values; empty if `last < first`.
    pub(super) fn interval(
        &mut self,
        level: usize,
        (first, last): (u16, u16),
        inside: Id,
        outside: Id,
    ) -> Result<Id, Exhausted> {
        if last < first {
            return Ok(outside);
        }
        let mut edges = Vec::with_capacity(3);
        if let Some(before) = first.checked_sub(1) {
            let (last, to) = (before, outside);
            edges.push(Edge { last, to });
        }
        append(&mut edges, Edge { last, to: inside });
        let end = self.last[level];
        if last < end {
            let (last, to) = (end, outside);
            append(&mut edges, Edge { last, to });
        }
        self.node(level, &edges)
    }

    pub(super) fn intersect(&mut self, a: Id, b: Id) -> Result<Id, Exhausted> {
        self.apply(Operation::Intersect, a, b)
    }

    pub(super) fn unite(&mut self, a: Id, b: Id) -> Result<Id, Exhausted> {
        self.apply(Operation::Unite, a, b)
    }

    pub(super) fn subtract(&mut self, a: Id, b: Id) -> Result<Id, Exhausted> {
        self.apply(Operation::Subtract, a, b)
    }

    /// As deep as there are levels.
    fn apply(&mut self, operation: Operation, a: Id, b: Id) -> Result<Id, Exhausted> {
        if let Some(id) = operation.decided(a, b) {
            return Ok(id);
        }
        let (a, b) = match operation {
            Operation::Intersect | Operation::Unite if b < a => (b, a),
            _ => (a, b),
        };
        if let Some(id) = self.known.get(&(operation, a, b)) {
            return Ok(*id);
        }
        let level = self.level(a).min(self.level(b));
        let (left, right) = (self.cursor(a, level), self.cursor(b, level));
        let (mut i, mut j) = (0, 0);
        let mut edges = Vec::with_capacity((left.edges.max(right.edges)) as usize + 1);
        loop {
            let (one, two) = (self.edge(left, a, i, level), self.edge(right, b, j, level));
            // Where one side decides alone, the other's edges are passed over.
            let last = match operation.decider(one.to, two.to) {
                Some(Side::Left) => one.last,
                Some(Side::Right) => two.last,
                None => one.last.min(two.last),
            };
            self.work += 1;
            if self.work > self.most_work {
                return Err(Exhausted);
            }
            let to = match operation.decided(one.to, two.to) {
                Some(id) => id,
                None => self.apply(operation, one.to, two.to)?,
            };
            append(&mut edges, Edge { last, to });
            if last == self.last[level] {
                break;
            }
            i = self.past(left, i, last);
            j = self.past(right, j, last);
        }
        let id = self.node(level, &edges)?;
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert((operation, a, b), id);
        Ok(id)
    }

    /// The first edge from `at` on that goes beyond `last`.
    fn past(&self, node: Node, at: u32, last: u16) -> u32 {
        let own = &self.edges[node.first as usize..(node.first + node.edges) as usize];
        let rest = own.get(at as usize..).unwrap_or_default();
        match rest {
            [first, second, ..] if first.last <= last && second.last <= last => {
                at + rest.partition_point(|edge| edge.last <= last) as u32
            }
            [first, ..] => at + u32::from(first.last <= last),
            [] => at,
        }
    }

    /// The node as seen from `level`: without edges if it tests only later
    /// levels.
    fn cursor(&self, id: Id, level: usize) -> Node {
        let node = self.nodes[id as usize];
        if usize::from(node.level) == level {
            node
        } else {
            Node { edges: 0, ..node }
        }
    }

    fn edge(&self, node: Node, id: Id, at: u32, level: usize) -> Edge {
        if node.edges == 0 {
            Edge {
                last: self.last[level],
                to: id,
            }
        } else {
            self.edges[(node.first + at) as usize]
        }
    }

    /// Whether a point is in the set; `value` gives its coordinates.
    pub(super) fn contains(&self, mut id: Id, value: impl Fn(usize) -> u16) -> bool {
        while id > FULL {
            let value = value(self.level(id));
            let edges = self.edges(id);
            id = edges[edges.partition_point(|edge| edge.last < value)].to;
        }
        id == FULL
    }

    /// How many points there are in the set, as nearly as a float can say.
    pub(super) fn count(&self, id: Id) -> f64 {
        let mut counted = HashMap::new();
        self.count_from(id, 0, &mut counted)
    }

    fn count_from(&self, id: Id, level: usize, counted: &mut HashMap<Id, f64>) -> f64 {
        let own_level = self.level(id);
        let skipped: f64 = self.last[level..own_level]
            .iter()
            .map(|last| f64::from(*last) + 1.0)
            .product();
        let own = match (id, counted.get(&id)) {
            (EMPTY, _) => 0.0,
            (FULL, _) => 1.0,
            (_, Some(count)) => *count,
            (_, None) => {
                let (mut sum, mut first) = (0.0, 0.0);
                for edge in self.edges(id) {
                    let end = f64::from(edge.last) + 1.0;
                    sum += (end - first) * self.count_from(edge.to, own_level + 1, counted);
                    first = end;
                }
                counted.insert(id, sum);
                sum
            }
        };
        own * skipped
    }
}
