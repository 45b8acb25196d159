"""Custom resources: what a CustomResourceDefinition says about the objects of a kind."""
