//! The batch commands: files in, one JSON object and files out. The program half calls [`do_job`] through C's calling
//! convention, since it does not link this library.

mod answer;
mod arrays;
mod cluster;
mod embed;
mod error;
mod labels;
mod parameters;
mod probe;
mod reduce;
mod score;
mod steps;
mod verify;

use std::panic::{AssertUnwindSafe, catch_unwind};

use answer::Answer;
use error::BatchError;

use crate::batch_job::{self, Job};
use crate::{measure, progress};

/// See [`batch_job::DoJob`].
///
/// # Safety
/// `job` must point to `length` bytes that nothing changes meanwhile; `answer` must be callable with `context`.
#[allow(unsafe_code, reason = "the program finds this function by its name, and hands over bytes")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn report_batch_job(
    job: *const u8,
    length: usize,
    answer: batch_job::Answer,
    context: *mut batch_job::Text,
) -> u8 {
    // SAFETY: the caller promises that these bytes are there.
    let job = unsafe { std::slice::from_raw_parts(job, length) };
    let (code, text) = catch_unwind(AssertUnwindSafe(|| do_job(job))).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of an unknown kind");
        (batch_job::MACHINE, format!("internal error, please report it: {message}"))
    });
    // SAFETY: the text lives until the call is over; the caller promises the rest.
    unsafe { answer(context, text.as_ptr(), text.len()) };
    code
}

/// See [`batch_job::Cancel`].
#[allow(unsafe_code, reason = "the program finds this function by its name")]
#[unsafe(no_mangle)]
pub extern "C" fn report_batch_cancel() {
    progress::cancel();
}

/// Does a job, given as JSON: the exit code, and the answer or what is wrong.
fn do_job(job: &[u8]) -> (u8, String) {
    steps::tell();
    let answer = match serde_json::from_slice(job) {
        Ok(Job::Embed(job)) => embed::run(&job),
        Ok(Job::Reduce(job)) => reduce::run(&job),
        Ok(Job::Cluster(job)) => cluster::run(&job),
        Ok(Job::Score(job)) => score::run(&job),
        // For people: text, not JSON.
        Ok(Job::Verify(job)) => return verified(&job),
        Err(error) => {
            Err(BatchError::Internal(format!("the program and its library differ, build them anew: {error}")))
        }
    };
    match answer {
        Ok(answer) => (batch_job::DONE, answer.text()),
        Err(error) => (error.exit_code(), in_full(&error)),
    }
}

fn verified(job: &batch_job::Verify) -> (u8, String) {
    match verify::run(job) {
        Ok((true, text)) => (batch_job::DONE, text.trim_end().to_owned()),
        Ok((false, text)) => {
            (batch_job::BAD_INPUT, format!("{}: it has too many bad images\n{}", job.name, text.trim_end()))
        }
        Err(error) => (error.exit_code(), in_full(&error)),
    }
}

/// What is wrong, and the reasons that the message does not tell already.
fn in_full(error: &BatchError) -> String {
    let mut text = error.to_string();
    let mut reason = std::error::Error::source(error);
    while let Some(error) = reason {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        reason = error.source();
    }
    text
}

/// Ends an answer with what the work took.
fn costs(answer: &mut Answer, seconds: f64) {
    answer.put("seconds", &seconds);
    answer.put_some("peak_memory_bytes", measure::peak_memory_bytes().as_ref());
}

/// One of a list of named values.
fn one_of<'names, T: Copy>(option: &str, name: &str, choices: &'names [(&'names str, T)]) -> Result<T, BatchError> {
    choices.iter().find(|(choice, _)| *choice == name).map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|&(choice, _)| choice).collect();
        let rule = format!("it must be one of {}", names.join(", "));
        BatchError::Option { option: option.to_owned(), value: name.to_owned(), rule }
    })
}
