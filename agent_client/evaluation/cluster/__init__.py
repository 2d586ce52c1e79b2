"""One run on the machines of a Ray cluster, with one run directory, here.

```text
driver (this process)                          node (an actor on any machine of the cluster)
  runner ─ Solve ─ cluster.Cluster ─ ray_nodes ─┬─ node.NodeWorker ─ Solve of the shipped agent
  journals, records, grades, display            ├─ node.NodeWorker   (own connections to the model,
                                                └─ …                  own MCP server)
```

The cluster is a `Solve` like any other. An episode goes to a node with its earlier turns; the node
tells what happens as it happens, and the driver stores it. A node begins no turn before the driver
has all of the turn before, so that a node that dies costs each of its episodes one turn at most.
"""
