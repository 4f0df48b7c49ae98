//! Several registries as one page: services that share a process may count under one name.

use prometheus::Registry;
use prometheus::proto::{Counter, Metric, MetricFamily, MetricType};
use std::collections::BTreeMap;

/// All families by name. Two counters with the same labels are added up; of other measures the first one stands.
pub(super) fn gather(registries: &[Registry]) -> Vec<MetricFamily> {
    let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
    for mut family in registries.iter().flat_map(Registry::gather) {
        match families.get_mut(family.name()) {
            None => {
                families.insert(family.name().to_owned(), family);
            }
            Some(kept) if kept.get_field_type() == family.get_field_type() => {
                let counts = kept.get_field_type() == MetricType::COUNTER;
                for metric in std::mem::take(family.mut_metric()) {
                    add(kept.mut_metric(), metric, counts);
                }
            }
            Some(_) => {}
        }
    }
    families.into_values().collect()
}

fn add(metrics: &mut Vec<Metric>, metric: Metric, counts: bool) {
    match metrics.iter_mut().find(|kept| kept.get_label() == metric.get_label()) {
        Some(same) if counts => {
            let mut sum = Counter::default();
            sum.set_value(same.get_counter().get_value() + metric.get_counter().get_value());
            same.set_counter(sum);
        }
        Some(_) => {}
        None => metrics.push(metric),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{IntCounterVec, IntGauge, Opts};

    #[test]
    fn services_that_count_under_one_name_are_added_up() {
        let registries = [Registry::new(), Registry::new()];
        for (registry, by) in registries.iter().zip([1, 2]) {
            let rings = IntCounterVec::new(Opts::new("rings", "Rings."), &["direction"]).unwrap();
            rings.with_label_values(&["sent"]).inc_by(by);
            rings.with_label_values(&[by.to_string()]).inc();
            registry.register(Box::new(rings)).unwrap();
        }
        registries[1].register(Box::new(IntGauge::new("alone", "Alone.").unwrap())).unwrap();
        let page = prometheus::TextEncoder::new().encode_to_string(&gather(&registries)).unwrap();
        assert!(
            page.contains("rings{direction=\"sent\"} 3\n") && page.contains("rings{direction=\"2\"} 1\n"),
            "{page}"
        );
        assert_eq!(page.matches("# TYPE rings ").count(), 1);
        assert!(page.contains("alone 0\n"));
    }
}
