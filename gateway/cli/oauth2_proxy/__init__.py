"""What oauth2-proxy 7.15 was told to do, said in a configuration of ours."""
