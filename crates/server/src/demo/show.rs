//! What happens to a generation, for people: a bar on a terminal, plain lines elsewhere.

use crate::launch::say;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// A plain line for each step of this many hundredths.
const STEP: u64 = 20;

pub(super) struct Show {
    bar: Option<ProgressBar>,
    stage: String,
    told: u64,
}

impl Show {
    pub(super) fn new() -> Self {
        let bar = std::io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::new(100);
            if let Ok(style) = ProgressStyle::with_template("{msg:12} {bar:40} {pos:>3} %  {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(std::time::Duration::from_millis(100));
            bar
        });
        Self { bar, stage: String::new(), told: 0 }
    }

    pub(super) fn stage(&mut self, stage: &str) {
        if stage == self.stage {
            return;
        }
        stage.clone_into(&mut self.stage);
        match &self.bar {
            Some(bar) => bar.set_message(self.stage.clone()),
            None => say(stage),
        }
    }

    /// `fraction`: 0 to 1.
    pub(super) fn progress(&mut self, fraction: f64) {
        let percent = (fraction.clamp(0.0, 1.0) * 100.0).round() as u64;
        match &self.bar {
            Some(bar) => bar.set_position(percent),
            None if percent >= self.told + STEP => {
                self.told = percent - percent % STEP;
                say(&format!("{} {percent} %", self.stage));
            }
            None => {}
        }
    }

    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.set_position(100);
            bar.finish();
        }
    }
}
