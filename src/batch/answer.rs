//! The answer of a batch command: one JSON object whose keys stay in the order in which they were put.

use serde::Serialize;

/// Keys and values, already as JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer(Vec<(&'static str, String)>);

impl Answer {
    /// Adds a value. Floats keep all digits, as the shortest text that reads back as the same number; a number that is
    /// not finite becomes `null`.
    pub(super) fn put<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) {
        // Numbers, texts and lists of them always have a JSON form.
        self.0.push((key, serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())));
    }

    /// Adds a value if there is one.
    pub(super) fn put_some<T: Serialize>(&mut self, key: &'static str, value: Option<&T>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// Adds objects as a list.
    pub(super) fn put_list(&mut self, key: &'static str, objects: &[Answer]) {
        let objects: Vec<String> = objects.iter().map(Answer::text).collect();
        self.0.push((key, format!("[{}]", objects.join(", "))));
    }

    /// Adds numbers by name.
    pub(super) fn put_named(&mut self, key: &'static str, numbers: &[(String, Option<f64>)]) {
        let json = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let number = |value: &Option<f64>| serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        let fields: Vec<String> =
            numbers.iter().map(|(name, value)| format!("{}: {}", json(name), number(value))).collect();
        self.0.push((key, format!("{{{}}}", fields.join(", "))));
    }

    /// Adds all of another answer.
    pub(super) fn append(&mut self, mut other: Answer) {
        self.0.append(&mut other.0);
    }

    /// The whole object, on one line.
    pub(super) fn text(&self) -> String {
        let fields: Vec<String> = self.0.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{{}}}", fields.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_digits_and_missing_numbers() {
        let mut answer = Answer::default();
        answer.put("z", &0.1);
        answer.put("a", &f64::NAN);
        answer.put("m", "a \"b\"");
        answer.put_some("none", None::<&f64>);
        answer.put_named("by", &[("x".to_owned(), Some(1.0)), ("y".to_owned(), None)]);
        let mut outer = Answer::default();
        outer.put_list("runs", &[answer]);
        let expected = r#"{"runs": [{"z": 0.1, "a": null, "m": "a \"b\"", "by": {"x": 1.0, "y": null}}]}"#;
        assert_eq!(outer.text(), expected);
        assert!(serde_json::from_str::<serde_json::Value>(&outer.text()).is_ok());
    }
}
