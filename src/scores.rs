//! Scores as a frame: embeddings, true labels and clusterers in, a tidy table out, one row a run.

use polars::prelude::{Column, DataFrame, NamedFrom, PolarsError, Series};

use crate::cluster::{ClusterError, Clusterer, Clustering};
use crate::linalg::Metric;
use crate::measure::{self, timed};
use crate::metrics::{LabelScores, MetricError, Noise, internal_scores, silhouette_score};
use crate::points::Points;

/// Why there is no table. What goes wrong in a run is told in its row instead.
#[derive(Debug, thiserror::Error)]
pub enum ScoresError {
    /// Not one label a point.
    #[error("embedding {embedding} has {rows} rows, but labels has {labels} labels")]
    Lengths {
        /// The embedding's name.
        embedding: String,
        /// Its rows.
        rows: usize,
        /// Labels given.
        labels: usize,
    },
    /// The computation was told to stop.
    #[error(transparent)]
    Cancelled(#[from] crate::progress::Cancelled),
    /// The table could not be put together.
    #[error(transparent)]
    Frame(#[from] PolarsError),
}

/// Clusters the points with each clusterer and measures what it finds, against the true labels and against the points.
///
/// `scores(&points, &labels, &[Clusterer::kmeans(10), Clusterer::ward(10), Clusterer::hdbscan(5)])?`
///
/// See [`scores_of`] for the columns.
///
/// # Errors
/// Not one label a point; cancelled.
pub fn scores(points: &Points, labels: &[i32], clusterers: &[Clusterer]) -> Result<DataFrame, ScoresError> {
    scores_of(&[("points", points)], labels, clusterers, &[])
}

/// The same for several named embeddings of the same samples. `columns` are put into every row, such as
/// `("dataset", "mnist")`.
///
/// A row a run, embedding by embedding: `embedding`, the given columns, `clusterer`, `parameters`, the label measures by
/// their names in scikit-learn (noise counts as one cluster), `silhouette_score` (Euclidean), `davies_bouldin_score`,
/// `calinski_harabasz_score` (missing where they are not defined), `n_clusters`, `clustered_fraction`, `seconds` and
/// `peak_memory_bytes` of the clustering (of the whole process where the system does not let it be counted anew), and
/// `error`: what went wrong, with the rest of the row missing.
///
/// # Errors
/// Not one label a point; cancelled.
pub fn scores_of(
    embeddings: &[(&str, &Points)],
    labels: &[i32],
    clusterers: &[Clusterer],
    columns: &[(&str, &str)],
) -> Result<DataFrame, ScoresError> {
    if let Some((name, points)) = embeddings.iter().find(|(_, points)| points.rows() != labels.len()) {
        let (rows, labels) = (points.rows(), labels.len());
        return Err(ScoresError::Lengths { embedding: (*name).to_owned(), rows, labels });
    }
    let mut runs = Vec::new();
    for (embedding, points) in embeddings {
        for clusterer in clusterers {
            crate::progress::check()?;
            let run = run(points, labels, clusterer);
            // A run that was told to stop is no result.
            crate::progress::check()?;
            runs.push(Row { embedding, clusterer, run });
        }
    }
    Ok(frame(&runs, columns)?)
}

struct Row<'a> {
    embedding: &'a str,
    clusterer: &'a Clusterer,
    run: Result<Run, RunError>,
}

/// What one run gave.
struct Run {
    labels: LabelScores,
    silhouette: Option<f64>,
    davies_bouldin: Option<f64>,
    calinski_harabasz: Option<f64>,
    n_clusters: u64,
    clustered_fraction: f64,
    seconds: f64,
    peak_memory_bytes: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Metric(#[from] MetricError),
}

fn run(points: &Points, labels: &[i32], clusterer: &Clusterer) -> Result<Run, RunError> {
    measure::forget_peak_memory();
    let fitted = timed(|| clusterer.fit(points));
    let peak_memory_bytes = measure::peak_memory_bytes();
    let found: Clustering = fitted.value?;
    let internal = defined(internal_scores(points, &found.labels))?;
    Ok(Run {
        labels: LabelScores::new(labels, &found.labels, Noise::Cluster)?,
        silhouette: defined(silhouette_score(points, &found.labels, Metric::Euclidean))?,
        davies_bouldin: internal.map(|scores| scores.davies_bouldin),
        calinski_harabasz: internal.map(|scores| scores.calinski_harabasz),
        n_clusters: found.n_clusters() as u64,
        clustered_fraction: found.clustered_fraction(),
        seconds: fitted.seconds,
        peak_memory_bytes,
    })
}

/// Nothing where the measure is not defined for such labels: one cluster, or only single points.
fn defined<T>(measured: Result<T, MetricError>) -> Result<Option<T>, MetricError> {
    match measured {
        Ok(value) => Ok(Some(value)),
        Err(MetricError::Parameter { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A measure's column and where it stands in the scores.
type Measure = (&'static str, fn(&LabelScores) -> f64);

const LABEL_MEASURES: [Measure; 11] = [
    ("adjusted_mutual_info_score", |scores| scores.ami),
    ("normalized_mutual_info_score", |scores| scores.nmi),
    ("mutual_info_score", |scores| scores.mi),
    ("adjusted_rand_score", |scores| scores.ari),
    ("rand_score", |scores| scores.ri),
    ("fowlkes_mallows_score", |scores| scores.fmi),
    ("homogeneity_score", |scores| scores.homogeneity),
    ("completeness_score", |scores| scores.completeness),
    ("v_measure_score", |scores| scores.v_measure),
    ("purity_score", |scores| scores.purity),
    ("clustering_accuracy", |scores| scores.accuracy),
];

fn frame(rows: &[Row], columns: &[(&str, &str)]) -> Result<DataFrame, PolarsError> {
    let text = |name: &str, value: &dyn Fn(&Row) -> String| -> Column {
        Series::new(name.into(), rows.iter().map(value).collect::<Vec<String>>()).into()
    };
    let number = |name: &str, value: &dyn Fn(&Run) -> Option<f64>| -> Column {
        let values = rows.iter().map(|row| row.run.as_ref().ok().and_then(value));
        Series::new(name.into(), values.collect::<Vec<Option<f64>>>()).into()
    };
    let count = |name: &str, value: &dyn Fn(&Run) -> Option<u64>| -> Column {
        let values = rows.iter().map(|row| row.run.as_ref().ok().and_then(value));
        Series::new(name.into(), values.collect::<Vec<Option<u64>>>()).into()
    };
    let mut all = vec![text("embedding", &|row| row.embedding.to_owned())];
    all.extend(columns.iter().map(|&(name, value)| text(name, &|_| value.to_owned())));
    all.push(text("clusterer", &|row| row.clusterer.name().to_owned()));
    all.push(text("parameters", &|row| row.clusterer.parameters_text()));
    all.extend(LABEL_MEASURES.iter().map(|&(name, value)| number(name, &|run| Some(value(&run.labels)))));
    all.push(number("silhouette_score", &|run| run.silhouette));
    all.push(number("davies_bouldin_score", &|run| run.davies_bouldin));
    all.push(number("calinski_harabasz_score", &|run| run.calinski_harabasz));
    all.push(count("n_clusters", &|run| Some(run.n_clusters)));
    all.push(number("clustered_fraction", &|run| Some(run.clustered_fraction)));
    all.push(number("seconds", &|run| Some(run.seconds)));
    all.push(count("peak_memory_bytes", &|run| run.peak_memory_bytes));
    let errors = rows.iter().map(|row| row.run.as_ref().err().map(RunError::to_string));
    all.push(Series::new("error".into(), errors.collect::<Vec<Option<String>>>()).into());
    DataFrame::new_infer_height(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_a_run_and_errors_in_their_place() {
        let points = Points::new(6, 1, vec![0.0, 0.1, 0.2, 9.0, 9.1, 9.2]).expect("valid");
        let labels = [0, 0, 0, 1, 1, 1];
        let clusterers = [Clusterer::kmeans(2), Clusterer::ward(2), Clusterer::kmeans(7)];
        let frame = scores_of(&[("raw", &points)], &labels, &clusterers, &[("dataset", "line")]).expect("a frame");
        assert_eq!(frame.height(), 3);
        let ami = frame.column("adjusted_mutual_info_score").expect("there").f64().expect("floats");
        assert_eq!((ami.get(0), ami.get(1), ami.get(2)), (Some(1.0), Some(1.0), None));
        let errors = frame.column("error").expect("there").str().expect("texts");
        assert_eq!(errors.get(0), None);
        assert!(errors.get(2).is_some_and(|error| error.contains("n_clusters = 7")));
        assert_eq!(frame.column("dataset").expect("there").str().expect("texts").get(1), Some("line"));
        assert!(scores(&points, &labels[..5], &clusterers).is_err());
    }
}
