//! Dominators: which nodes every path from a root to another node passes through. Lengauer and Tarjan's
//! algorithm, in its simple form, without recursion.

/// No node.
const NONE: usize = usize::MAX;

/// Buffers for successive computations in graphs of the same size.
#[derive(Debug)]
pub(super) struct Dominators {
    /// By node: its number in search order, if it was reached.
    place: Vec<usize>,
    /// By that number, as everything below.
    nodes: Vec<usize>,
    parent: Vec<usize>,
    /// When the tree of dominators is entered and left at a node.
    entered: Vec<usize>,
    left: Vec<usize>,
}

impl Dominators {
    pub fn new(nodes: usize) -> Self {
        Self { place: vec![NONE; nodes], nodes: Vec::new(), parent: Vec::new(), entered: Vec::new(), left: Vec::new() }
    }

    /// Searches from `root` along `outs`, of which `ins` is the reverse.
    pub fn search<O, I>(&mut self, root: usize, outs: impl Fn(usize) -> O, ins: impl Fn(usize) -> I)
    where
        O: Iterator<Item = usize>,
        I: Iterator<Item = usize>,
    {
        for node in self.nodes.drain(..) {
            self.place[node] = NONE;
        }
        self.parent.clear();
        self.reach(root, outs);
        let dominator = self.immediate(ins);
        self.number(&dominator);
    }

    pub fn reached(&self) -> &[usize] {
        &self.nodes
    }

    pub fn is_reached(&self, node: usize) -> bool {
        self.place[node] != NONE
    }

    /// Whether every path to `node` passes through `other`. Both must have been reached.
    pub fn dominates(&self, other: usize, node: usize) -> bool {
        let (other, node) = (self.place[other], self.place[node]);
        self.entered[other] <= self.entered[node] && self.left[node] <= self.left[other]
    }

    fn reach<O: Iterator<Item = usize>>(&mut self, root: usize, outs: impl Fn(usize) -> O) {
        self.enter(root, 0);
        let mut stack = vec![(0, outs(root))];
        while let Some((from, next)) = stack.last_mut() {
            let from = *from;
            match next.next() {
                Some(to) if self.place[to] == NONE => {
                    self.enter(to, from);
                    stack.push((self.nodes.len() - 1, outs(to)));
                }
                Some(_) => {}
                None => drop(stack.pop()),
            }
        }
    }

    fn enter(&mut self, node: usize, parent: usize) {
        self.place[node] = self.nodes.len();
        self.nodes.push(node);
        self.parent.push(parent);
    }

    fn immediate<I: Iterator<Item = usize>>(&self, ins: impl Fn(usize) -> I) -> Vec<usize> {
        let count = self.nodes.len();
        let mut forest = Forest::new(count);
        let mut dominator = vec![0; count];
        // Nodes by their semidominator, as lists.
        let (mut first, mut next) = (vec![NONE; count], vec![NONE; count]);
        for node in (1..count).rev() {
            for from in ins(self.nodes[node]).map(|from| self.place[from]).filter(|from| *from != NONE) {
                let best = forest.best(from);
                forest.semi[node] = forest.semi[node].min(forest.semi[best]);
            }
            next[node] = std::mem::replace(&mut first[forest.semi[node]], node);
            let parent = self.parent[node];
            forest.ancestor[node] = parent;
            let mut held = std::mem::replace(&mut first[parent], NONE);
            while held != NONE {
                let best = forest.best(held);
                dominator[held] = if forest.semi[best] < forest.semi[held] { best } else { parent };
                held = next[held];
            }
        }
        for node in 1..count {
            if dominator[node] != forest.semi[node] {
                dominator[node] = dominator[dominator[node]];
            }
        }
        dominator
    }

    fn number(&mut self, dominator: &[usize]) {
        let count = dominator.len();
        let (mut first, mut next) = (vec![NONE; count], vec![NONE; count]);
        for node in (1..count).rev() {
            next[node] = std::mem::replace(&mut first[dominator[node]], node);
        }
        self.entered = vec![0; count];
        self.left = vec![0; count];
        let (mut time, mut node) = (0, 0);
        loop {
            // `first` loses what was entered.
            let child = first[node];
            if child != NONE {
                first[node] = next[child];
                time += 1;
                self.entered[child] = time;
                node = child;
                continue;
            }
            time += 1;
            self.left[node] = time;
            if node == 0 {
                return;
            }
            node = dominator[node];
        }
    }
}

struct Forest {
    semi: Vec<usize>,
    ancestor: Vec<usize>,
    label: Vec<usize>,
    path: Vec<usize>,
}

impl Forest {
    fn new(count: usize) -> Self {
        let identity: Vec<usize> = (0..count).collect();
        Self { semi: identity.clone(), ancestor: vec![NONE; count], label: identity, path: Vec::new() }
    }

    /// The node with the least semidominator on the path up from `node`, which is compressed.
    fn best(&mut self, node: usize) -> usize {
        if self.ancestor[node] == NONE {
            return self.label[node];
        }
        let mut at = node;
        while self.ancestor[self.ancestor[at]] != NONE {
            self.path.push(at);
            at = self.ancestor[at];
        }
        while let Some(below) = self.path.pop() {
            let above = self.ancestor[below];
            if self.semi[self.label[above]] < self.semi[self.label[below]] {
                self.label[below] = self.label[above];
            }
            self.ancestor[below] = self.ancestor[above];
        }
        self.label[node]
    }
}
