//! Protocol numbers and names.

const TABLE: &str = include_str!("protocols.txt");

/// The number of a protocol by name, or by its alias, which is the name in
/// capitals. `all` is 0.
pub fn protocol_number(name: &str) -> Option<u16> {
    if name == "all" {
        return Some(0);
    }
    let capitals = |entry: &str| entry.to_ascii_uppercase() == name;
    entries()
        .find(|(_, entry)| *entry == name || capitals(entry))
        .map(|(number, _)| number)
}

/// The name that listings show; `None` for numbers without one.
pub fn protocol_name(number: u16) -> Option<&'static str> {
    if number == 0 {
        return Some("all");
    }
    entries()
        .find(|(entry, _)| *entry == number)
        .map(|(_, name)| name)
}

fn entries() -> impl Iterator<Item = (u16, &'static str)> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(number, name)| Some((number.parse().ok()?, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_belong_together() {
        assert_eq!(protocol_number("ospf"), Some(89));
        assert_eq!(protocol_name(89), Some("ospf"));
        assert_eq!(protocol_name(0), Some("all"));
        assert_eq!(protocol_name(255), None);
        assert_eq!(protocol_number("nosuch"), None);
    }
}
