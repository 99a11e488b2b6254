//! What a process needs around its controllers: leadership, probes, metrics, logs, an orderly end.
