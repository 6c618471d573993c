"""What the gateway answers itself: login, callback, logout, userinfo."""
