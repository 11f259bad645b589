"""OTP supervision for Ray actors."""
