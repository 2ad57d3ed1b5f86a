//! The parameters of a method, taken one by one: what is left over at the end is unknown to the method.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::BatchError;
use crate::batch_job::{self, Given};

/// Parameters as they were given, for a method that has yet to say which ones it knows.
#[derive(Debug)]
pub(super) struct Parameters {
    /// `method` or `probe`.
    what: &'static str,
    method: String,
    given: Given,
    known: Vec<&'static str>,
}

impl Parameters {
    pub(super) fn new(what: &'static str, method: &str, given: &Given) -> Parameters {
        Parameters { what, method: method.to_owned(), given: given.clone(), known: Vec::new() }
    }

    /// Sets a number or a flag, if it was given.
    pub(super) fn set<T: DeserializeOwned>(&mut self, name: &'static str, field: &mut T) -> Result<(), BatchError> {
        if let Some(value) = self.take(name) {
            *field = serde_json::from_value(value.clone()).map_err(|error| wrong(name, &value, &error.to_string()))?;
        }
        Ok(())
    }

    /// Sets a number that has no value by default.
    pub(super) fn set_some<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        field: &mut Option<T>,
    ) -> Result<(), BatchError> {
        if let Some(value) = self.take(name) {
            let value =
                serde_json::from_value(value.clone()).map_err(|error| wrong(name, &value, &error.to_string()))?;
            *field = Some(value);
        }
        Ok(())
    }

    /// Sets what has a name, by the names that it can have.
    pub(super) fn choose<T: Clone>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
        field: &mut T,
    ) -> Result<(), BatchError> {
        let Some(value) = self.take(name) else { return Ok(()) };
        match choices.iter().find(|(choice, _)| value.as_str() == Some(choice)) {
            Some((_, chosen)) => *field = chosen.clone(),
            None => {
                let names: Vec<&str> = choices.iter().map(|&(choice, _)| choice).collect();
                return Err(wrong(name, &value, &format!("it must be one of {}", names.join(", "))));
            }
        }
        Ok(())
    }

    /// Sets what knows its own names; its errors tell the parameter, the value and the choice.
    pub(super) fn parse<T>(&mut self, name: &'static str, field: &mut T) -> Result<(), BatchError>
    where
        T: FromStr,
        T::Err: Display,
    {
        if let Some(text) = self.text(name) {
            *field = text.parse().map_err(|error: T::Err| BatchError::Usage(error.to_string()))?;
        }
        Ok(())
    }

    /// A text, if it was given.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.take(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// Whether it was given; does not take it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Nothing may be left.
    pub(super) fn finish(mut self) -> Result<(), BatchError> {
        let Some((name, _)) = self.given.iter().next() else { return Ok(()) };
        self.known.sort_unstable();
        self.known.dedup();
        let known: Vec<String> = self.known.iter().map(|name| batch_job::option(name)).collect();
        Err(BatchError::NotAParameter {
            option: batch_job::option(name),
            what: self.what,
            method: self.method,
            known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        })
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.given.remove(name)
    }
}

fn wrong(name: &str, value: &Value, rule: &str) -> BatchError {
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    BatchError::Option { option: batch_job::option(name), value, rule: rule.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameters(given: Value) -> Parameters {
        Parameters::new("method", "kmeans", given.as_object().expect("an object"))
    }

    #[test]
    fn what_is_given_is_set_and_the_rest_kept() {
        let mut given = parameters(json!({"n_clusters": 3, "preference": -2.5, "linkage": "ward"}));
        let (mut n_clusters, mut tol, mut preference, mut linkage) = (8_usize, 0.5, None::<f64>, 'a');
        given.set("n_clusters", &mut n_clusters).expect("a number");
        given.set("tol", &mut tol).expect("absent");
        given.set_some("preference", &mut preference).expect("a number");
        given.choose("linkage", &[("average", 'a'), ("ward", 'w')], &mut linkage).expect("known");
        assert_eq!((n_clusters, tol, preference, linkage), (3, 0.5, Some(-2.5), 'w'));
        given.finish().expect("nothing is left");
    }

    #[test]
    fn errors_name_option_value_and_choice() {
        let mut given = parameters(json!({"linkage": "warp", "n_clusters": -3, "n_init": 2}));
        let error = given.choose("linkage", &[("average", 1), ("ward", 2)], &mut 0).expect_err("unknown").to_string();
        assert_eq!(error, "--linkage = warp: it must be one of average, ward");
        let error = given.set("n_clusters", &mut 0_usize).expect_err("negative").to_string();
        assert!(error.starts_with("--n-clusters = -3: "), "{error}");
        let error = given.finish().expect_err("left over").to_string();
        assert_eq!(error, "--n-init is not a parameter of --method kmeans, which has --linkage, --n-clusters");
    }
}
