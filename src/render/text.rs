//! What a program printed, as text for people: terminal control is applied or removed, nothing is interpreted as HTML.

/// The text that a terminal would show after these bytes.
///
/// Invalid UTF-8 becomes U+FFFD. ANSI and OSC sequences are removed, except that "erase line" erases. A lone carriage
/// return and a backspace move back, so that a progress bar leaves its last state only. The bell is dropped; other
/// control characters are shown as their Unicode pictures (`␀`).
pub(crate) fn clean_terminal(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut screen = Screen::default();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.peek() {
                Some('[') => {
                    chars.next();
                    screen.control_sequence(&mut chars);
                }
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    chars.next();
                    skip_string(&mut chars);
                }
                Some(' '..='~') => skip_escape(&mut chars),
                _ => {}
            },
            '\u{9b}' => screen.control_sequence(&mut chars),
            '\u{9d}' | '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}' => skip_string(&mut chars),
            '\n' => screen.newline(),
            '\r' => screen.column = 0,
            '\u{8}' => screen.column = screen.column.saturating_sub(1),
            '\u{7}' | '\u{80}'..='\u{9f}' => {}
            '\t' => screen.put('\t'),
            '\u{7f}' => screen.put('\u{2421}'),
            '\0'..='\u{1f}' => screen.put(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            c => screen.put(c),
        }
    }
    screen.finish()
}

/// A whole number with commas between groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[derive(Default)]
struct Screen {
    done: String,
    line: Vec<char>,
    column: usize,
}

impl Screen {
    fn put(&mut self, c: char) {
        match self.line.get_mut(self.column) {
            Some(place) => *place = c,
            None => self.line.push(c),
        }
        self.column += 1;
    }

    fn newline(&mut self) {
        self.done.extend(self.line.drain(..));
        self.done.push('\n');
        self.column = 0;
    }

    fn finish(mut self) -> String {
        self.done.extend(self.line.drain(..));
        self.done
    }

    /// After `ESC [`: parameters up to a final byte; only "erase in line" does anything.
    fn control_sequence(&mut self, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
        let mut parameters = String::new();
        while let Some(c) = chars.next_if(|c| (' '..='?').contains(c)) {
            parameters.push(c);
        }
        if chars.next_if(|c| ('@'..='~').contains(c)) != Some('K') {
            return;
        }
        match parameters.as_str() {
            "" | "0" => self.line.truncate(self.column),
            "1" => self.line.iter_mut().take(self.column).for_each(|c| *c = ' '),
            // The cursor stays where it is; what is printed there next begins after blanks.
            "2" => self.line.iter_mut().for_each(|c| *c = ' '),
            _ => {}
        }
        while self.line.len() > self.column && self.line.last() == Some(&' ') {
            self.line.pop();
        }
    }
}

/// After the start of an OSC, DCS, SOS, PM or APC: up to BEL or ST; a newline ends it too, lest it swallow everything.
fn skip_string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.next_if(|c| *c != '\n') {
        if matches!(c, '\u{7}' | '\u{9c}') || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
            return;
        }
    }
}

/// After an ESC that begins a short sequence such as `ESC ( B`.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
    chars.next_if(|c| ('0'..='~').contains(c));
}

#[cfg(test)]
mod tests {
    use super::{clean_terminal, grouped};

    #[test]
    fn a_terminal_is_replayed() {
        let cases: &[(&[u8], &str)] = &[
            (b"plain\ntext\n", "plain\ntext\n"),
            (b"a\r\nb\r\n", "a\nb\n"),
            (b"\x1b[31mred\x1b[0m and \x1b[1;4mbold\x1b[m", "red and bold"),
            (b"10%\r55%\r100%\n", "100%\n"),
            (b"working\r\x1b[2Kdone\n", "done\n"),
            (b"working\r\x1b[Kdone\n", "done\n"),
            (b"abc\x1b[1Kd", "   d"),
            (b"longer line\rshort", "shortr line"),
            (b"ab\x08c", "ac"),
            (b"\x1b]0;window title\x07text", "text"),
            (b"\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            (b"\x1b]never ended\nnext", "\nnext"),
            (b"\x1b(Bascii", "ascii"),
            (b"nul\0bell\x07", "nul\u{2400}bell"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"tail\x1b", "tail"),
            (b"tail\x1b[12", "tail"),
            ("é\u{9b}31mß".as_bytes(), "éß"),
            (b"<script>", "<script>"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(clean_terminal(bytes), *expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }
}
