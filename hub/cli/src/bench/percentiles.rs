//! Times of single answers, and what stands at which place among them.

use std::time::Duration;

/// Times, in microseconds: four bytes each, so that a million of them stay small.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<u32>);

impl Times {
    /// Adds a time; beyond 71 minutes it counts as that.
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds all of another.
    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time that this share (0 to 1) of all do not exceed, in milliseconds; by the exact rank. 0 without any.
    pub(crate) fn at(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let time = self.0.get(rank.clamp(1, self.0.len().max(1)) - 1);
        time.map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }
}

/// The middle one (of an even number: the lower middle); 0 without any.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_exact() {
        let mut times = Times::default();
        (1..=100).rev().for_each(|ms| times.add(Duration::from_millis(ms)));
        assert_eq!((times.at(0.5), times.at(0.99), times.at(1.0), times.at(0.0)), (50.0, 99.0, 100.0, 1.0));
        assert_eq!(Times::default().at(0.99), 0.0);
        assert_eq!(times.len(), 100);
    }

    #[test]
    fn the_median_is_one_of_them() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }
}
