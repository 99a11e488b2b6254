//! A Kubernetes operator that gives every application its own PostgreSQL login.
