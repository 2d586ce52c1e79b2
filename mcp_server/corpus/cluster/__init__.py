"""Copy an index to OpenSearch or Elasticsearch."""
