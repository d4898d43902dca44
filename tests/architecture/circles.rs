//! Circles in a graph: groups of nodes that all lead to each other.

use std::collections::{BTreeMap, BTreeSet};

/// Which nodes a node leads to.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The shortest circle through each group of nodes that lead to each other, the first node repeated at its end.
pub fn of(mut graph: Graph) -> Vec<Vec<String>> {
    let mut circles = Vec::new();
    let nodes: Vec<String> = graph.keys().cloned().collect();
    for node in nodes {
        while let Some(circle) = shortest_through(&graph, &node) {
            // Without its first step the circle is none: what remains are other circles.
            graph.get_mut(&circle[0]).unwrap().remove(&circle[1]);
            circles.push(circle);
        }
    }
    circles
}

/// The shortest way from a node back to itself.
fn shortest_through(graph: &Graph, node: &str) -> Option<Vec<String>> {
    let mut ways = std::collections::VecDeque::from([vec![node.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in graph.get(way.last()?).into_iter().flatten() {
            let longer: Vec<String> = way.iter().cloned().chain([next.clone()]).collect();
            if next == node {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}

#[test]
fn circles_are_found_and_straight_ways_are_none() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        of(graph)
    };
    assert!(graph(&[("a", "b"), ("b", "c"), ("a", "c")]).is_empty());
    assert_eq!(graph(&[("a", "b"), ("b", "a")]), [["a", "b", "a"]]);
    let two = graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "c")]);
    assert_eq!(two.len(), 2, "{two:?}");
}
