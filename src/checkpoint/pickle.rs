//! Reads a pickle as data. The format is a program for a small stack machine, described in CPython's
//! `Lib/pickletools.py`; of its operations those are known here that build values, and none runs anything: see
//! [`globals`] for what a name may be.
//!
//! Protocols 0 to 5 without the operations for old classes, extension registries and buffers kept elsewhere.

use super::CheckpointError;
use super::globals::{self, Global};
use super::input::{Input, Span};
use super::machine::{LONGEST_LINE, Machine};
use super::value::{Id, Node, Values};

/// Operations in one pickle. A checkpoint of a thousand tensors takes some fifty thousand.
const MOST_OPERATIONS: u32 = 2_000_000;
/// The highest protocol that exists.
const NEWEST_PROTOCOL: u8 = 5;

/// A pickle's values, its result, and where in the file it ends.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) values: Values,
    pub(super) root: Id,
    pub(super) end: u64,
}

/// Reads the pickle at the beginning of a span of the file.
pub(super) fn read(input: &Input, span: Span) -> Result<Pickle, CheckpointError> {
    let mut machine = Machine::new(input, span);
    for _ in 0..MOST_OPERATIONS {
        if let Some(root) = machine.step()? {
            return Ok(Pickle { end: machine.reader.at(), values: machine.values, root });
        }
    }
    Err(machine.limit("operations", u64::from(MOST_OPERATIONS)))
}

impl Machine<'_> {
    /// Does one operation. The result, if it was the last.
    fn step(&mut self) -> Result<Option<Id>, CheckpointError> {
        self.at = self.reader.at();
        let code = self.reader.byte()?;
        match code {
            0x80 => {
                if self.reader.byte()? > NEWEST_PROTOCOL {
                    return Err(self.fault("a protocol that does not exist yet"));
                }
            }
            // FRAME: only tells readers how much to read ahead.
            0x95 => drop(self.reader.array::<8>()?),
            b'.' => return self.pop().map(Some),

            b'(' => {
                self.check("marks", self.marks.len())?;
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop_or_mark()?),
            b'1' => drop(self.pop_marked()?),
            b'2' => {
                let top = self.top()?;
                self.push_id(top)?;
            }

            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'K' => self.integer(|reader| Ok(reader.byte()?.into()))?,
            b'M' => self.integer(|reader| Ok(u16::from_le_bytes(reader.array()?).into()))?,
            b'J' => self.integer(|reader| Ok(i32::from_le_bytes(reader.array()?).into()))?,
            0x8a => {
                let length = self.reader.byte()?.into();
                self.long(length)?;
            }
            0x8b => {
                let length = self.length32()?;
                self.long(length)?;
            }
            b'I' | b'L' => self.decimal()?,
            b'G' => {
                self.reader.array::<8>()?;
                self.push(Node::Opaque)?;
            }
            b'F' => {
                self.reader.line(LONGEST_LINE)?;
                self.push(Node::Opaque)?;
            }

            0x8c => {
                let length = self.reader.byte()?.into();
                self.push_text(length)?;
            }
            b'X' => {
                let length = self.length32()?;
                self.push_text(length)?;
            }
            0x8d => {
                let length = self.length64()?;
                self.push_text(length)?;
            }
            b'S' | b'V' => self.quoted(code)?,
            b'C' | b'U' => {
                let length = self.reader.byte()?.into();
                self.push_bytes(length)?;
            }
            b'B' | b'T' => {
                let length = self.length32()?;
                self.push_bytes(length)?;
            }
            0x8e | 0x96 => {
                let length = self.length64()?;
                self.push_bytes(length)?;
            }

            b')' | b']' => self.push(Node::List(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            // EMPTY_SET, and FROZENSET of what is above the mark.
            0x8f => self.push(Node::Opaque)?,
            0x91 => {
                self.pop_marked()?;
                self.push(Node::Opaque)?;
            }
            b't' | b'l' => {
                let items = self.pop_marked()?;
                self.push(Node::List(items))?;
            }
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(code - 0x84));
                let from = from.filter(|from| self.marks.last().is_none_or(|mark| mark <= from));
                let items = self.stack.split_off(from.ok_or_else(|| self.fault("too few values on the stack"))?);
                self.push(Node::List(items))?;
            }
            b'd' => {
                let items = self.pop_marked()?;
                self.push(Node::Dict(Vec::new()))?;
                self.set_items(&items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_marked()?;
                self.append(&items)?;
            }
            // ADDITEMS: to a set.
            0x90 => drop(self.pop_marked()?),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_marked()?;
                self.set_items(&items)?;
            }

            b'q' | b'r' | b'p' => {
                let key = self.key(code)?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' | b'j' | b'g' => {
                let key = self.key(code)?;
                self.recall(key)?;
            }

            b'c' => {
                let module = self.reader.line(LONGEST_LINE)?;
                let name = self.reader.line(LONGEST_LINE)?;
                self.push_global(&String::from_utf8_lossy(&module), &String::from_utf8_lossy(&name))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id| self.values.text(id).map(str::to_owned);
                let (Some(module), Some(name)) = (text(module), text(name)) else {
                    return Err(self.fault("a global that is not named by text"));
                };
                self.push_global(&module, &name)?;
            }
            // REDUCE and NEWOBJ: both make an object of a global and its arguments.
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(callable, arguments)?;
            }
            // NEWOBJ_EX, with named arguments.
            0x92 => {
                let (_named, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callable, arguments)?;
            }
            b'b' => {
                let state = self.pop()?;
                let top = self.top()?;
                // Attributes of anything else, such as `_metadata` of a state dict, hold no tensors.
                if let Node::Call(_, _, kept) = self.values.get_mut(top) {
                    *kept = Some(state);
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            _ => return Err(CheckpointError::Operation { path: self.path(), at: self.at, code }),
        }
        Ok(None)
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Result<(), CheckpointError> {
        let Some(global) = self.values.global(callable) else {
            return Err(self.fault("a call of something that is not a global"));
        };
        let node = match global {
            Global::Dict => Node::Dict(self.pairs(arguments)),
            Global::Opaque | Global::Storage(_) | Global::Dtype(_) => Node::Opaque,
            _ => Node::Call(global, arguments, None),
        };
        self.push(node)
    }

    /// Keys and values by turns of `OrderedDict([(key, value), ...])`; none of `OrderedDict()`.
    fn pairs(&self, arguments: Id) -> Vec<Id> {
        let pairs = self.values.list(arguments).and_then(|arguments| self.values.list(*arguments.last()?));
        let pairs = pairs.unwrap_or_default().iter().filter_map(|pair| self.values.list(*pair));
        pairs.filter(|pair| pair.len() == 2).flatten().copied().collect()
    }

    fn append(&mut self, items: &[Id]) -> Result<(), CheckpointError> {
        let top = self.top()?;
        match self.values.get_mut(top) {
            Node::List(list) => list.extend_from_slice(items),
            Node::Opaque => {}
            _ => return Err(self.fault("items for something that is not a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), CheckpointError> {
        let top = self.top()?;
        match self.values.get_mut(top) {
            Node::Dict(dict) if items.len().is_multiple_of(2) => dict.extend_from_slice(items),
            Node::Opaque => {}
            _ => return Err(self.fault("keys and values for something that is not a dictionary")),
        }
        Ok(())
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), CheckpointError> {
        let global = globals::find(module, name).ok_or_else(|| CheckpointError::Global {
            path: self.path(),
            at: self.at,
            name: printable(module, name),
        })?;
        self.push(Node::Global(global))
    }
}

/// A name for a message: it comes from the file, and may be long or bring control characters.
fn printable(module: &str, name: &str) -> String {
    let whole = format!("{module}.{name}");
    let shown: String = whole.chars().take(100).collect();
    shown.escape_debug().to_string()
}
