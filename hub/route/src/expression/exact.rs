//! Exact arithmetic on decimals: a result that needs more than 28 digits is an error, never rounded.

use rust_decimal::Decimal;

/// Zero has no sign: `-0` is nothing that money knows.
pub(crate) fn unsigned_zero(mut value: Decimal) -> Decimal {
    if value.is_zero() {
        value.set_sign_positive(true);
    }
    value
}

/// Digits that a decimal can hold.
const SCALE_MAX: u32 = 28;

fn build(mantissa: Option<i128>, scale: u32) -> Option<Decimal> {
    let value = Decimal::try_from_i128_with_scale(mantissa?, scale).ok()?;
    Some(value)
}

fn added(a: Decimal, b: Decimal) -> Option<Decimal> {
    let scale = a.scale().max(b.scale());
    let raise = |d: Decimal| d.mantissa().checked_mul(10i128.checked_pow(scale - d.scale())?);
    build(raise(a)?.checked_add(raise(b)?), scale)
}

/// The sum, with the longer of both fractions.
pub(crate) fn add(a: Decimal, b: Decimal) -> Option<Decimal> {
    added(a, b).or_else(|| added(a.normalize(), b.normalize()))
}

fn multiplied(a: Decimal, b: Decimal) -> Option<Decimal> {
    let scale = a.scale() + b.scale();
    if scale > SCALE_MAX { None } else { build(a.mantissa().checked_mul(b.mantissa()), scale) }
}

/// The product.
pub(crate) fn multiply(a: Decimal, b: Decimal) -> Option<Decimal> {
    multiplied(a, b).or_else(|| multiplied(a.normalize(), b.normalize()))
}

/// The quotient without trailing zeros: exact where it has at most 28 digits, else rounded to them. `None` for a zero
/// divisor.
pub(crate) fn divide(a: Decimal, b: Decimal) -> Option<Decimal> {
    a.checked_div(b).map(|quotient| unsigned_zero(quotient.normalize()))
}

/// The remainder, with the dividend's sign. `None` for a zero divisor.
pub(crate) fn remainder(a: Decimal, b: Decimal) -> Option<Decimal> {
    a.checked_rem(b).map(unsigned_zero)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cents() -> impl Strategy<Value = (i64, u32)> {
        (any::<i64>(), 0u32..9)
    }

    proptest! {
        #[test]
        fn sums_and_products_are_those_of_whole_numbers((a, sa) in cents(), (b, sb) in cents()) {
            let (x, y) = (Decimal::new(a, sa), Decimal::new(b, sb));
            let scale = sa.max(sb);
            let sum = i128::from(a) * 10i128.pow(scale - sa) + i128::from(b) * 10i128.pow(scale - sb);
            prop_assert_eq!(add(x, y).map(|d| (d.mantissa(), d.scale())), Some((sum, scale)));
            if let Some(product) = multiply(x, y) {
                prop_assert_eq!(product.mantissa() * 10i128.pow(sa + sb - product.scale()), i128::from(a) * i128::from(b));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_not_rounded() {
        let long: Decimal = "7922816251426433759354395033.5".parse().unwrap();
        assert_eq!(add(long, Decimal::new(1, 28)), None);
        assert_eq!(multiply(long, Decimal::new(11, 1)), None);
        assert_eq!(multiply("0.10".parse().unwrap(), "3".parse().unwrap()).unwrap().to_string(), "0.30");
        assert_eq!(divide(Decimal::ONE, Decimal::ZERO), None);
        assert_eq!(remainder("-4".parse().unwrap(), "2".parse().unwrap()).unwrap().to_string(), "0");
    }
}
