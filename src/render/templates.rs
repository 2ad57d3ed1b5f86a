//! The templates, compiled into the program. Their names end in `.html`, so that every value is escaped.

use anyhow::Context;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};

use super::html::Html;

/// The page's style sheet and script, whose hashes the page's policy names.
pub(super) const STYLE: &str = include_str!("../../templates/report.css");
pub(super) const SCRIPT: &str = include_str!("../../templates/report.js");

pub(super) struct Templates(Environment<'static>);

impl Templates {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_formatter(|out, state, value| match value.as_str() {
            // One function escapes everything, so that control characters are treated alike too.
            Some(text) if !value.is_safe() => {
                let mut html = Html::default();
                html.text(text);
                out.write_str(html.as_str()).map_err(minijinja::Error::from)
            }
            _ => minijinja::escape_formatter(out, state, value),
        });
        for (name, source) in [
            ("report.html", include_str!("../../templates/report.html")),
            ("cell.html", include_str!("../../templates/cell.html")),
            ("figure.html", include_str!("../../templates/figure.html")),
            ("table.html", include_str!("../../templates/table.html")),
        ] {
            environment.add_template(name, source).with_context(|| format!("template {name}"))?;
        }
        Ok(Templates(environment))
    }

    pub(super) fn report(&self, values: Value) -> anyhow::Result<Html> {
        self.render("report.html", values)
    }

    pub(super) fn cell(&self, values: Value) -> anyhow::Result<Html> {
        self.render("cell.html", values)
    }

    pub(super) fn figure(&self, values: Value) -> anyhow::Result<Html> {
        self.render("figure.html", values)
    }

    pub(super) fn table(&self, values: Value) -> anyhow::Result<Html> {
        self.render("table.html", values)
    }

    fn render(&self, name: &str, values: Value) -> anyhow::Result<Html> {
        let template = self.0.get_template(name).with_context(|| format!("template {name}"))?;
        let markup = template.render(values).with_context(|| format!("template {name}"))?;
        // A template escapes what it is given.
        Ok(Html::trusted(markup))
    }
}
