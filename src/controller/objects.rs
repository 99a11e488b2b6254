//! The Kubernetes API as it is asked here: what an answer holds beside what was asked for never keeps it from being read.

use std::fmt::Debug;

use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::Serialize;

use super::unread::UnreadObjects;
use crate::api::{Lean, Readable};

/// The objects of one kind, in one namespace or in all.
#[derive(Clone)]
pub struct Objects<K> {
    api: Api<Lean<K>>,
    unread: Option<UnreadObjects>,
}

impl<K> Debug for Objects<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").field("api", &self.api).finish()
    }
}

impl<K: Resource<DynamicType = ()>> Objects<K> {
    /// Those of all namespaces, or of none.
    pub fn all(client: Client) -> Self {
        Self {
            api: Api::all(client),
            unread: None,
        }
    }

    /// Those of one namespace.
    pub fn of(client: Client, namespace: &str) -> Self
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Self {
            api: Api::namespaced(client, namespace),
            unread: None,
        }
    }

    /// The same, noting which answers cannot be read as a whole.
    pub fn noting(self, unread: &UnreadObjects) -> Self {
        Self {
            unread: Some(unread.clone()),
            ..self
        }
    }
}

impl<K> Objects<K>
where
    K: Resource<DynamicType = ()> + Readable + Clone + Debug,
{
    fn plain(&self, lean: Lean<K>) -> K {
        match &self.unread {
            Some(unread) => unread.note(lean),
            None => lean.object,
        }
    }

    /// One object.
    ///
    /// # Errors
    /// If it is not there, or the API server refuses.
    pub async fn get(&self, name: &str) -> kube::Result<K> {
        Ok(self.plain(self.api.get(name).await?))
    }

    /// One object, if it is there.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn get_opt(&self, name: &str) -> kube::Result<Option<K>> {
        Ok(self.api.get_opt(name).await?.map(|lean| self.plain(lean)))
    }

    /// One object, if it is there, with what of it could not be read.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn get_lean(&self, name: &str) -> kube::Result<Option<Lean<K>>> {
        self.api.get_opt(name).await
    }

    /// All of them that are asked for.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn list(&self, params: &ListParams) -> kube::Result<Vec<K>> {
        let list = self.list_lean(params).await?;
        Ok(list.into_iter().map(|lean| self.plain(lean)).collect())
    }

    /// All of them that are asked for, with what of each could not be read.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn list_lean(&self, params: &ListParams) -> kube::Result<Vec<Lean<K>>> {
        Ok(self.api.list(params).await?.items)
    }

    /// A page of them, as long as the limit that is asked for, and what to ask for the next one with.
    ///
    /// # Errors
    /// If the API server refuses, or does not know any more what the first page was of.
    pub async fn page(&self, params: &ListParams) -> kube::Result<(Vec<K>, Option<String>)> {
        let page = self.api.list(params).await?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        Ok((
            page.items.into_iter().map(|lean| self.plain(lean)).collect(),
            next,
        ))
    }

    /// Changes one.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn patch<P>(&self, name: &str, params: &PatchParams, patch: &Patch<P>) -> kube::Result<K>
    where
        P: Serialize + Debug,
    {
        Ok(self.plain(self.api.patch(name, params, patch).await?))
    }

    /// Changes the status of one.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn patch_status<P>(&self, name: &str, params: &PatchParams, patch: &Patch<P>) -> kube::Result<K>
    where
        P: Serialize + Debug,
    {
        Ok(self.plain(self.api.patch_status(name, params, patch).await?))
    }

    /// Deletes one.
    ///
    /// # Errors
    /// If it is not there, or the API server refuses.
    pub async fn delete(&self, name: &str, params: &DeleteParams) -> kube::Result<()> {
        self.api.delete(name, params).await.map(drop)
    }
}

impl<K> Objects<K>
where
    K: Resource<DynamicType = ()> + Readable + Serialize + Clone + Debug,
{
    /// Makes one.
    ///
    /// # Errors
    /// If there is one, or the API server refuses.
    pub async fn create(&self, params: &PostParams, object: &K) -> kube::Result<K> {
        let lean = Lean::from(object.clone());
        Ok(self.plain(self.api.create(params, &lean).await?))
    }

    /// Writes one in place of what is there.
    ///
    /// # Errors
    /// If it is another version, or the API server refuses.
    pub async fn replace(&self, name: &str, params: &PostParams, object: &K) -> kube::Result<K> {
        let lean = Lean::from(object.clone());
        Ok(self.plain(self.api.replace(name, params, &lean).await?))
    }
}
