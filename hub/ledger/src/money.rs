//! Amounts as whole cents, so that sums are exact in every database.

use rust_decimal::Decimal;

/// Amounts beyond this (in cents; 100 000 million euro) are kept exactly in their case but stay out of sums, so that a sum
/// of a million of them still fits 64 bits.
const CENTS_MAX: i64 = 10_000_000_000_000;

/// The amount in cents, if that is exact and can be summed.
pub(crate) fn cents_of(amount: Decimal) -> Option<i64> {
    let cents = amount.normalize().checked_mul(Decimal::ONE_HUNDRED)?;
    let whole = i64::try_from(cents.is_integer().then_some(cents)?).ok()?;
    (whole.abs() <= CENTS_MAX).then_some(whole)
}
