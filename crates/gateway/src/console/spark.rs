//! Small line charts as SVG, drawn here: no chart library, no script, nothing that a strict content policy would refuse.

use maud::{Markup, html};
use std::fmt::Write;

const WIDE: f64 = 240.0;
const HIGH: f64 = 48.0;
/// So that a line at an edge is not cut.
const MARGIN: f64 = 2.0;

/// `threshold`: a line across, where it is within sight.
pub(super) fn line(values: &[f64], threshold: Option<f64>, label: &str) -> Markup {
    let most = values.iter().copied().chain(threshold.filter(|_| !values.is_empty())).fold(0.0_f64, f64::max);
    let y = |value: f64| HIGH - MARGIN - (value / most.max(f64::EPSILON)) * (HIGH - 2.0 * MARGIN);
    let step = WIDE / (values.len().max(2) - 1) as f64;
    let points = values.iter().enumerate().fold(String::new(), |mut points, (index, value)| {
        let _ = write!(points, "{:.1},{:.1} ", index as f64 * step, y(*value));
        points
    });
    let last = (values.len().max(1) - 1) as f64 * step;
    html! {
        svg.spark viewBox=(format!("0 0 {WIDE} {HIGH}")) preserveAspectRatio="none" role="img" aria-label=(label) {
            @if values.len() > 1 && most > 0.0 {
                polygon.area points=(format!("0,{HIGH} {points}{last:.1},{HIGH}")) {}
                polyline.stroke points=(points.trim_end()) vector-effect="non-scaling-stroke" {}
            } @else {
                line.flat x1="0" x2=(WIDE) y1=(HIGH - MARGIN) y2=(HIGH - MARGIN) vector-effect="non-scaling-stroke" {}
            }
            @if let Some(threshold) = threshold.filter(|_| most > 0.0) {
                line.threshold x1="0" x2=(WIDE) y1=(format!("{:.1}", y(threshold))) y2=(format!("{:.1}", y(threshold)))
                    vector-effect="non-scaling-stroke" {}
            }
        }
    }
}

/// Parts of a whole side by side, each with its class; nothing where there is nothing.
pub(super) fn bar(parts: &[(&str, f64)], whole: f64, label: &str) -> Markup {
    let mut from = 0.0;
    let placed: Vec<(&str, f64, f64)> = parts
        .iter()
        .map(|(class, amount)| {
            let width = if whole > 0.0 { (amount / whole * 100.0).clamp(0.0, 100.0 - from) } else { 0.0 };
            let place = (*class, from, width);
            from += width;
            place
        })
        .collect();
    html! {
        svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.rest x="0" y="0" width="100" height="6" {}
            @for (class, x, width) in placed {
                @if width > 0.0 { rect class=(class) x=(format!("{x:.2}")) y="0" width=(format!("{width:.2}")) height="6" {} }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_stays_within_its_frame_whatever_it_is_given() {
        for values in [&[][..], &[0.0], &[0.0, 0.0], &[1.0, 5.0, 3.0], &[1e12, 0.0]] {
            let drawn = line(values, Some(100.0), "waiting").into_string();
            assert!(
                drawn.contains("aria-label=\"waiting\"") && !drawn.contains("NaN") && !drawn.contains("inf"),
                "{drawn}"
            );
        }
        let drawn = bar(&[("good", 3.0), ("warn", 9.0)], 6.0, "slots").into_string();
        assert!(drawn.contains("width=\"50.00\"") && !drawn.contains("150"), "{drawn}");
    }
}
