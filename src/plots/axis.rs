//! Axis limits, ticks and numbers as text.

/// An axis: from where to where, and which values are named.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
    step: f64,
}

/// Whether a figure can place this value; others count as missing.
pub(super) fn drawable(value: f64) -> bool {
    value.is_finite() && value.abs() <= 1e100
}

/// The smallest and largest of the drawable values.
pub(super) fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| drawable(*value)).fold(None, |found, value| {
        let (low, high) = found.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

impl Axis {
    /// An axis that covers `low` to `high` and ends at ticks.
    pub(super) fn to_ticks(low: f64, high: f64, most_ticks: usize) -> Axis {
        let (low, high) = widened(low, high);
        let step = step(high - low, most_ticks.max(3) - 1);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        Axis { low: low.min(first * step), high: high.max(last * step), ticks: ticks(first, last, step), step }
    }

    /// An axis that covers `low` to `high` with a margin of a twenty-fifth, and ends between ticks.
    pub(super) fn with_margin(low: f64, high: f64, most_ticks: usize) -> Axis {
        let (low, high) = widened(low, high);
        let margin = (high - low) / 25.0;
        let (low, high) = (low - margin, high + margin);
        let most = most_ticks.max(2);
        let ends = |step: f64| ((low / step).ceil(), (high / step).floor());
        let few = |step: &f64| ends(*step).1 - ends(*step).0 < most as f64;
        let finer = step(high - low, most + 1);
        let step = Some(finer).filter(few).unwrap_or_else(|| step(high - low, most));
        let (first, last) = ends(step);
        Axis { low, high, ticks: ticks(first, last, step), step }
    }

    /// A tick as text, with as many decimals as the ticks need.
    pub(super) fn label(&self, tick: f64) -> String {
        let largest = self.low.abs().max(self.high.abs());
        if !(1e-3..1e7).contains(&largest) {
            return scientific(tick);
        }
        let decimals = (0..=9).find(|decimals| {
            let scaled = self.step * 10_f64.powi(*decimals);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        });
        fixed(tick, decimals.unwrap_or(9) as usize)
    }
}

/// Room between the two, even where they are equal.
fn widened(low: f64, high: f64) -> (f64, f64) {
    let largest = low.abs().max(high.abs());
    let room = if largest > 1e-90 { largest * 0.5 } else { 1.0 };
    if high - low > largest * 1e-9 && high - low > 1e-90 { (low, high) } else { (low - room, high + room) }
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that divides the range into at most `parts`.
fn step(range: f64, parts: usize) -> f64 {
    let least = range / parts as f64;
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

fn ticks(first: f64, last: f64, step: f64) -> Vec<f64> {
    let count = (last - first).clamp(0.0, 50.0) as usize;
    (0..=count).map(|index| (first + index as f64) * step).collect()
}

/// With a true minus sign, and commas in long numbers.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |(whole, fraction)| (whole, fraction));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let zero = !text.contains(|c: char| c.is_ascii_digit() && c != '0');
    let sign = if value < 0.0 && !zero { "−" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

/// `2×10⁶`
fn scientific(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{:.2e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let raised = exponent.chars().map(|c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => c.to_digit(10).and_then(|digit| char::from_u32(0x2070 + digit)).unwrap_or(c),
    });
    format!("{}{mantissa}×10{}", if value < 0.0 { "−" } else { "" }, raised.collect::<String>())
}

/// A number for prose and labels: `digits` significant digits, no more decimals than that needs.
pub(super) fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { value.to_string() };
    }
    if value.abs() >= 1e7 || value.abs() < 1e-4 {
        return scientific(value);
    }
    let before = value.abs().log10().floor() as i64 + 1;
    fixed(value, (digits as i64 - before).max(0) as usize)
}

/// How to write values of which this is the largest: with as many decimals as give it `digits` significant digits.
pub(super) fn writer(largest: f64, digits: usize) -> impl Fn(f64) -> String {
    let plain = largest == 0.0 || (1e-4..1e7).contains(&largest);
    let before = if largest > 0.0 { largest.log10().floor() as i64 + 1 } else { 1 };
    let decimals = (digits as i64 - before).clamp(0, 9) as usize;
    move |value| if plain { fixed(value, decimals) } else { significant(value, digits) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(labels(&Axis::to_ticks(0.0, 47.3, 6)), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(labels(&Axis::to_ticks(-42.0, 5.3, 6)), ["−50", "−40", "−30", "−20", "−10", "0", "10"]);
        assert_eq!(labels(&Axis::to_ticks(0.0, 0.83, 6)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::to_ticks(0.0, 50.0, 6)), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(labels(&Axis::to_ticks(0.0, 70_000.0, 5)), ["0", "20,000", "40,000", "60,000", "80,000"]);
        assert_eq!(labels(&Axis::to_ticks(0.0, 4e9, 5)), ["0", "1×10⁹", "2×10⁹", "3×10⁹", "4×10⁹"]);
        assert_eq!(labels(&Axis::with_margin(-4.2, 7.9, 5)), ["−2.5", "0.0", "2.5", "5.0", "7.5"]);
    }

    #[test]
    fn strange_ranges_give_finite_axes() {
        for (low, high) in
            [(0.0, 0.0), (5.0, 5.0), (-3.0, -3.0), (1e16, 1e16 + 2.0), (0.0, 1e-300), (-1e100, 1e100), (1e-95, 3e-95)]
        {
            for axis in [Axis::to_ticks(low, high, 6), Axis::with_margin(low, high, 6)] {
                assert!(axis.low <= low && axis.high >= high && axis.low < axis.high, "{low} {high} {axis:?}");
                assert!((2..=12).contains(&axis.ticks.len()), "{axis:?}");
                assert!(labels(&axis).iter().all(|label| label.chars().count() < 20), "{:?}", labels(&axis));
            }
        }
    }

    #[test]
    fn numbers_as_text() {
        assert_eq!(fixed(-0.04, 1), "0.0");
        assert_eq!(fixed(-1234.5, 1), "−1,234.5");
        assert_eq!(fixed(1_234_567.0, 0), "1,234,567");
        assert_eq!(significant(45.2381, 3), "45.2");
        assert_eq!(significant(0.012_345, 3), "0.0123");
        assert_eq!(significant(12_345.6, 3), "12,346");
        assert_eq!(significant(-2.5e-9, 3), "−2.5×10⁻⁹");
        assert_eq!(extent([f64::NAN, 2.0, f64::INFINITY, -1.0]), Some((-1.0, 2.0)));
        assert_eq!(extent([f64::NAN]), None);
    }
}
