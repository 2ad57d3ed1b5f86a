//! The stack, the marks and the memo of a pickle's machine, the limits on each, and the values that are written out.

use std::collections::HashMap;
use std::path::PathBuf;

use super::CheckpointError;
use super::input::{Input, Reader, Span};
use super::value::{Id, Node, Values};

/// Values in one pickle, on its stack, and in its memo.
const MOST_VALUES: usize = 400_000;
/// Bytes of text in one pickle.
const MOST_TEXT: u64 = 8 << 20;

/// Characters of a module's name, a number, or a text in quotes.
pub(super) const LONGEST_LINE: usize = 1 << 12;

/// What a pickle's operations work on.
pub(super) struct Machine<'input> {
    pub(super) reader: Reader<'input>,
    /// Where the operation at hand begins.
    pub(super) at: u64,
    pub(super) values: Values,
    pub(super) stack: Vec<Id>,
    /// Lengths of the stack when marks were set.
    pub(super) marks: Vec<usize>,
    pub(super) memo: HashMap<u32, Id>,
    /// Bytes of text so far.
    text: u64,
}

impl<'input> Machine<'input> {
    pub(super) fn new(input: &'input Input, span: Span) -> Machine<'input> {
        Machine {
            reader: Reader::new(input, span),
            at: span.at,
            values: Values::default(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            text: 0,
        }
    }

    pub(super) fn push(&mut self, node: Node) -> Result<(), CheckpointError> {
        self.check("values", self.values.len())?;
        let id = self.values.add(node);
        self.push_id(id)
    }

    pub(super) fn push_id(&mut self, id: Id) -> Result<(), CheckpointError> {
        self.check("values on the stack", self.stack.len())?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn top(&self) -> Result<Id, CheckpointError> {
        self.stack.last().copied().ok_or_else(|| self.fault("too few values on the stack"))
    }

    pub(super) fn pop(&mut self) -> Result<Id, CheckpointError> {
        let top = self.top()?;
        if self.marks.last() == Some(&self.stack.len()) {
            return Err(self.fault("a mark where a value is needed"));
        }
        self.stack.pop();
        Ok(top)
    }

    pub(super) fn pop_or_mark(&mut self) -> Result<(), CheckpointError> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    pub(super) fn pop_marked(&mut self) -> Result<Vec<Id>, CheckpointError> {
        let mark = self.marks.pop().ok_or_else(|| self.fault("no mark on the stack"))?;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn remember(&mut self, key: u32) -> Result<(), CheckpointError> {
        let top = self.top()?;
        self.check("values in the memo", self.memo.len())?;
        self.memo.insert(key, top);
        Ok(())
    }

    pub(super) fn recall(&mut self, key: u32) -> Result<(), CheckpointError> {
        let id = *self.memo.get(&key).ok_or_else(|| self.fault("a value that the memo does not have"))?;
        self.push_id(id)
    }

    /// The key of an operation on the memo: a byte, four, or a line of digits.
    pub(super) fn key(&mut self, code: u8) -> Result<u32, CheckpointError> {
        match code {
            b'q' | b'h' => Ok(self.reader.byte()?.into()),
            b'r' | b'j' => Ok(u32::from_le_bytes(self.reader.array()?)),
            _ => {
                let line = self.reader.line(20)?;
                let number = str::from_utf8(&line).ok().and_then(|digits| digits.parse().ok());
                number.ok_or_else(|| self.fault("a line that is not an integer"))
            }
        }
    }

    pub(super) fn length32(&mut self) -> Result<u64, CheckpointError> {
        Ok(u32::from_le_bytes(self.reader.array()?).into())
    }

    pub(super) fn length64(&mut self) -> Result<u64, CheckpointError> {
        Ok(u64::from_le_bytes(self.reader.array()?))
    }

    pub(super) fn count_text(&mut self, length: u64) -> Result<(), CheckpointError> {
        self.text = self.text.saturating_add(length);
        if self.text > MOST_TEXT { Err(self.limit("bytes of text", MOST_TEXT)) } else { Ok(()) }
    }

    pub(super) fn check(&self, what: &'static str, count: usize) -> Result<(), CheckpointError> {
        if count < MOST_VALUES { Ok(()) } else { Err(self.limit(what, MOST_VALUES as u64)) }
    }

    pub(super) fn limit(&self, what: &'static str, most: u64) -> CheckpointError {
        CheckpointError::Limit { path: self.path(), what, most }
    }

    pub(super) fn fault(&self, fault: &'static str) -> CheckpointError {
        CheckpointError::Pickle { path: self.path(), at: self.at, fault }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.reader.input.path.clone()
    }
}

/// Numbers, texts and bytes that stand in the pickle.
impl Machine<'_> {
    pub(super) fn integer(
        &mut self,
        read: impl FnOnce(&mut Reader<'_>) -> Result<i64, CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let number = read(&mut self.reader)?;
        self.push(Node::Int(number))
    }

    /// An integer of so many bytes, the last of which has the sign.
    pub(super) fn long(&mut self, length: u64) -> Result<(), CheckpointError> {
        if length > 8 {
            let span = self.reader.skip(length)?;
            return self.push(Node::Long(span));
        }
        let mut bytes = [0; 8];
        for byte in &mut bytes[..length as usize] {
            *byte = self.reader.byte()?;
        }
        let unused = 64 - 8 * length as u32;
        let number = i64::from_le_bytes(bytes);
        self.push(Node::Int(if length == 0 { 0 } else { number << unused >> unused }))
    }

    /// A line with an integer in decimal digits, or one of protocol 1's truth values.
    pub(super) fn decimal(&mut self) -> Result<(), CheckpointError> {
        let line = self.reader.line(LONGEST_LINE)?;
        let node = match line.as_slice() {
            b"00" => Node::Bool(false),
            b"01" => Node::Bool(true),
            digits => {
                let number = str::from_utf8(digits).ok().map(|digits| digits.trim_end_matches('L').parse());
                Node::Int(number.and_then(Result::ok).ok_or_else(|| self.fault("a line that is not an integer"))?)
            }
        };
        self.push(node)
    }

    /// A line with a text. One with escapes is read as some value: no name or key of weights has any.
    pub(super) fn quoted(&mut self, code: u8) -> Result<(), CheckpointError> {
        let line = self.reader.line(LONGEST_LINE)?;
        let text = match line.as_slice() {
            [b'\'', text @ .., b'\''] | [b'"', text @ .., b'"'] if code == b'S' => Some(text),
            text => (code == b'V').then_some(text),
        };
        let text = text.filter(|text| text.is_ascii() && !text.contains(&b'\\'));
        let Some(text) = text.and_then(|text| str::from_utf8(text).ok()) else { return self.push(Node::Opaque) };
        self.count_text(text.len() as u64)?;
        self.push(Node::Text(text.into()))
    }

    pub(super) fn push_text(&mut self, length: u64) -> Result<(), CheckpointError> {
        self.count_text(length)?;
        let bytes = self.reader.take(length)?;
        // Python's own "surrogates" are the only other case; they stand for bytes that were no text.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.push(Node::Text(text.into_boxed_str()))
    }

    pub(super) fn push_bytes(&mut self, length: u64) -> Result<(), CheckpointError> {
        let span = self.reader.skip(length)?;
        self.push(Node::Bytes(span))
    }
}
