//! What a pickle says, as plain data: nodes in one list, that refer to each other by number.
//!
//! A pickle may refer to one value from many places, or to a value from within itself. With numbers this costs nothing
//! and cannot leak, and values nested a million deep are dropped without recursion.

use super::globals::Global;
use super::input::{Input, Span};

/// Bytes of what may be a key or a name.
const LONGEST_STRING: usize = 1024;

/// Number of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u32);

/// One value.
#[derive(Debug)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits.
    Long(Span),
    Text(Box<str>),
    /// Bytes, or what Python 2 calls a string.
    Bytes(Span),
    /// A tuple or a list.
    List(Vec<Id>),
    /// Keys and values by turns.
    Dict(Vec<Id>),
    Global(Global),
    /// A global, its arguments, and the state that was set afterwards.
    Call(Global, Id, Option<Id>),
    /// What is kept outside of the pickle.
    Persistent(Id),
    /// Anything that can hold no tensor.
    Opaque,
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(super) struct Values {
    nodes: Vec<Node>,
}

impl Values {
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The caller keeps count: there are fewer than 2^32.
    pub(super) fn add(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        Id((self.nodes.len() - 1) as u32)
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn get(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// The items of a tuple or a list.
    pub(super) fn list(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// A number that counts something.
    pub(super) fn count(&self, id: Id) -> Option<u64> {
        match self.get(id) {
            Node::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A tuple of numbers that count something, such as a shape.
    pub(super) fn counts(&self, id: Id) -> Option<Vec<u64>> {
        self.list(id)?.iter().map(|id| self.count(*id)).collect()
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A short text, or a short string of Python 2.
    pub(super) fn string(&self, input: &Input, id: Id) -> Option<String> {
        match self.get(id) {
            Node::Text(text) if text.len() <= LONGEST_STRING => Some(text.to_string()),
            Node::Bytes(span) if span.length <= LONGEST_STRING as u64 => {
                Some(input.bytes(*span).ok()?.into_iter().map(char::from).collect())
            }
            _ => None,
        }
    }

    pub(super) fn global(&self, id: Id) -> Option<Global> {
        match self.get(id) {
            Node::Global(global) => Some(*global),
            _ => None,
        }
    }
}
