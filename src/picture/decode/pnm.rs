//! Binary PGM and PPM with eight bits a sample, as datasets of the nineties have them.

use super::{DecodeError, Picture, check_size};

/// Decodes a file that begins with `P5` or `P6`.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture<'static>, DecodeError> {
    let channels = if bytes[1] == b'5' { 1 } else { 3 };
    let mut rest = &bytes[2..];
    let [width, height, largest] = [number(&mut rest)?, number(&mut rest)?, number(&mut rest)?];
    if largest != 255 {
        return Err(DecodeError::Unsupported("PPM", format!("samples from 0 to {largest}")));
    }
    let (width, height) = check_size(width, height)?;
    // One character of white space, then the samples.
    let samples = rest.get(1..).and_then(|samples| samples.get(..width * height * channels));
    let pixels = samples.ok_or(DecodeError::Truncated("PPM"))?.to_vec();
    Ok(Picture { pixels: pixels.into(), height, width, channels })
}

/// The next number of the header, behind white space and comments.
fn number(rest: &mut &[u8]) -> Result<u64, DecodeError> {
    loop {
        *rest = rest.trim_ascii_start();
        match rest {
            [b'#', ..] => {
                let end = rest.iter().position(|byte| *byte == b'\n').ok_or(DecodeError::Truncated("PPM"))?;
                *rest = &rest[end..];
            }
            [] => return Err(DecodeError::Truncated("PPM")),
            _ => break,
        }
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = rest.split_at(digits);
    *rest = after;
    let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    number.ok_or_else(|| DecodeError::Damaged("PPM", "a size that is no number".to_owned()))
}
