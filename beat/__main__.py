from beat.app import main

main()
