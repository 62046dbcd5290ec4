//! The plugin values of this component instance, one per type.

use std::any::{Any, TypeId};
use std::cell::RefCell;

thread_local! {
    // A component has at most six exports, so a list is faster than a map and needs no random seed.
    static VALUES: RefCell<Vec<(TypeId, Box<dyn Any>)>> = const { RefCell::new(Vec::new()) };
}

/// Calls a function with this instance's value of a type, made with `Default` at the first call. A type that is
/// exported as several kinds is one value of the instance; the host may give each kind an instance of its own.
///
/// The value is taken out for the length of the call: the host cannot call in while a call runs.
pub(crate) fn with<T: Default + 'static, R>(call: impl FnOnce(&mut T) -> R) -> R {
    let mut value = take::<T>();
    let result = call(&mut value);
    VALUES.with_borrow_mut(|values| values.push((TypeId::of::<T>(), value)));
    result
}

fn take<T: Default + 'static>() -> Box<T> {
    let stored = VALUES.with_borrow_mut(|values| {
        let at = values.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        values.swap_remove(at).1.downcast().ok()
    });
    stored.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counter(u32);

    fn next() -> u32 {
        with(|counter: &mut Counter| {
            counter.0 += 1;
            counter.0
        })
    }

    #[test]
    fn a_value_lives_as_long_as_the_instance() {
        assert_eq!(next(), 1);
        assert_eq!(next(), 2);
        assert_eq!(with(|text: &mut String| text.len()), 0);
        assert_eq!(next(), 3);
    }
}
