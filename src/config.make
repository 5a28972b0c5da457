# Appends the rules for C++ objects to nginx's makefile, which has rules for C.
#
# auto/make sources this file as shell code once it has written the makefile.
# ngx_websocket_srcs has the sources: groups of files, listed by config.

ngx_websocket_cxx=${CXX:-$CC}
ngx_websocket_so=$NGX_OBJS/ngx_http_websocket_module$ngx_modext

# Symbols are hidden in the module's own objects only: nginx finds ngx_modules by
# dlsym().
ngx_websocket_flags="-std=c++20 -O2 -Wall -Wextra -Wunused-parameter -Werror \
-fPIC -fvisibility=hidden"

# glibc never unloads a library that has unique symbols.
if echo | $ngx_websocket_cxx -fno-gnu-unique -x c++ -c -o /dev/null - \
    2> /dev/null
then
    ngx_websocket_flags="$ngx_websocket_flags -fno-gnu-unique"
fi

ngx_websocket_objs=
for ngx_websocket_src in $ngx_websocket_srcs; do
    ngx_websocket_obj=`basename $ngx_websocket_src .cpp`.$ngx_objext
    ngx_websocket_objs="$ngx_websocket_objs \
$NGX_OBJS/addon/websocket/$ngx_websocket_obj"
done

# Objects depend on this file, which changes only with the flags.
ngx_websocket_stamp=$NGX_OBJS/websocket_flags
if test "`cat $ngx_websocket_stamp 2> /dev/null`" != "$ngx_websocket_flags"
then
    echo "$ngx_websocket_flags" > $ngx_websocket_stamp
fi

# The files of the page of websocket_status, as constants of a header.
ngx_websocket_page=$NGX_OBJS/websocket_status_page.hpp
ngx_websocket_page_parts=
for ngx_websocket_part in page.html page.css \
    charts.js page.js
do
    ngx_websocket_page_parts="$ngx_websocket_page_parts \
$ngx_addon_dir/nginx/status/$ngx_websocket_part"
done

# "override" also replaces CC and CFLAGS of make's command line.
cat << END                                                    >> $NGX_MAKEFILE

WEBSOCKET_OBJS = $ngx_websocket_objs

\$(WEBSOCKET_OBJS): override CC = \
	\$(info compiling \$(basename \$(@F)).cpp)$ngx_websocket_cxx
\$(WEBSOCKET_OBJS): override CFLAGS := \$(filter-out -std=%,\$(CFLAGS)) \\
	$ngx_websocket_flags -MMD -MP -I $ngx_addon_dir $CXXFLAGS

$ngx_websocket_so: LINK = $ngx_websocket_cxx $LDFLAGS

\$(WEBSOCKET_OBJS): $ngx_websocket_stamp

\$(WEBSOCKET_OBJS): | $ngx_websocket_page

$ngx_websocket_page: $ngx_websocket_page_parts $ngx_websocket_stamp
	for part in $ngx_websocket_page_parts; do \\
	    name=\`basename \$\$part | tr . _\`; \\
	    echo "constexpr std::string_view \$\$name = R\"~~~~(" && \\
	    cat \$\$part && echo ')~~~~";' || exit 1; \\
	done > \$@.new && mv \$@.new \$@

-include \$(WEBSOCKET_OBJS:.$ngx_objext=.d)

END
