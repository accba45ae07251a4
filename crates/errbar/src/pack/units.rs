//! Bounds on the values that users see, as bounds on those that a file stores.

use errbar_dissect::Packing;
use errbar_format::record::Bound;

/// What `bounds` on scale × x + offset come to for x; nothing if one of them is on shares of values and
/// there is an offset, so that no bound on x is known that keeps it.
pub(super) fn stored(bounds: &[Bound], Packing { scale, offset }: Packing) -> Option<Vec<Bound>> {
    // Rounded down, so that the product is not above what was asked.
    let error = |value: f64| (value / scale.abs()).next_down().max(0.0);
    let place = |value: f64| (value - offset) / scale;
    let bound = |bound: &Bound| match *bound {
        Bound::Abs(value) => Some(Bound::Abs(error(value))),
        Bound::Rmse(value) => Some(Bound::Rmse(error(value))),
        Bound::Where { from, to, abs } => {
            let (a, b) = (place(from), place(to));
            Some(Bound::Where { from: a.min(b).next_down(), to: a.max(b).next_up(), abs: error(abs) })
        }
        Bound::PwRel(_) | Bound::Digits(_) | Bound::Sqnr(_) if offset != 0.0 => None,
        bound => Some(bound),
    };
    bounds.iter().map(bound).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_on_what_users_see() {
        let packing = |scale, offset| Packing { scale, offset };
        let Some([Bound::Abs(limit), Bound::Rel(share)]) =
            stored(&[Bound::Abs(0.02), Bound::Rel(0.5)], packing(-0.1, 3.0)).as_deref().map(|b| [b[0], b[1]])
        else {
            panic!("both are known");
        };
        assert!(limit * 0.1 <= 0.02 && limit > 0.1999999 && share == 0.5);
        let range = [Bound::Where { from: 10.0, to: f64::INFINITY, abs: 1.0 }];
        let Some([Bound::Where { from, to, .. }]) = stored(&range, packing(-2.0, 4.0)).as_deref().map(|b| [b[0]]) else { panic!("known") };
        assert!(from == f64::NEG_INFINITY && (-3.0..-2.9999).contains(&to.next_down()), "{from} {to}");
        for share in [Bound::PwRel(0.1), Bound::Digits(3), Bound::Sqnr(20.0)] {
            assert!(stored(&[share], packing(2.0, 1.0)).is_none() && stored(&[share], packing(2.0, 0.0)).is_some());
        }
    }
}
